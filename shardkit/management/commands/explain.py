"""What would this query do?"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from shardkit.errors import ShardkitError
from shardkit.management.evaluating import evaluated
from shardkit.orm.query import ShardedQuerySet
from shardkit.routing.plan import Plan


class Command(BaseCommand):
    """Shows the plan of a query, and with ``--run`` what the databases say to EXPLAIN."""

    help = (
        "Shows on which databases a query runs, what each of them does of it, and why. The query is a Python "
        "expression, such as \"Order.objects.filter(total__gt=10).order_by('-total')[:20]\" or "
        '"Order.objects.count()"; all models and django.db.models are there by name. No row is read or written, '
        "except that --run reads the keys by which a gather chooses its rows."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the query, and whether to ask the databases."""
        parser.add_argument("expression", help="A Python expression: a queryset, or what would run one.")
        parser.add_argument("--run", action="store_true", help="Asks the databases for their plans by EXPLAIN.")
        parser.add_argument("--format", help="The format of their plans, such as json, where a database has several.")

    def handle(self, *_args: object, **options: Any) -> None:
        """Evaluate without running, and show."""
        try:
            value, asked = evaluated(options["expression"])
        except (SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, FieldError) as error:
            raise CommandError(f"This is no query: {type(error).__name__}: {error}") from error
        except ShardkitError as error:
            raise CommandError(str(error)) from error
        if isinstance(value, ShardedQuerySet):
            self._show(value.model._meta.label, value.route())
        elif isinstance(value, QuerySet):
            self._show_any(value)
        elif not asked:
            raise CommandError(f"This is no query: it is {value!r}, and no database was asked.")
        for label, plan in asked:
            self._show(label, plan)
        if options["run"]:
            self._explain(value, options["format"])

    def _show_any(self, value: QuerySet[Any, Any]) -> None:
        """Show the plan of a queryset that has no route(): it is announced as it begins to run."""
        _, asked = evaluated("list(queryset)", queryset=value)
        for label, plan in asked:
            self._show(label, plan)

    def _show(self, label: str, plan: Plan) -> None:
        self.stdout.write(f"{label}: {plan}")

    def _explain(self, value: object, output: str | None) -> None:
        if not isinstance(value, QuerySet):
            raise CommandError("Only a queryset can be explained by the databases: leave out what runs it, or --run.")
        try:
            self.stdout.write(value.explain(format=output))
        except ShardkitError as error:
            raise CommandError(str(error)) from error
