"""What does a session in a project's shell come to?

Run inside a project, with a task as JSON on standard input: a session as in a doctest, and expressions to evaluate
after it. Answers with JSON: what the session got wrong, and which databases each expression asked.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import sys
from contextlib import ExitStack
from io import StringIO
from typing import Any

#: Statements about transactions, which ask for no rows.
TRANSACTION = re.compile("BEGIN|SAVEPOINT|RELEASE|ROLLBACK|COMMIT")


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    django.setup()
    task = json.load(sys.stdin)
    names: dict[str, Any] = {}
    complaints = follow(task["session"], names)
    asked = [databases_asked(expression, names) for expression in task["expressions"]]
    json.dump({"complaints": complaints, "asked": asked}, sys.stdout)


def follow(session: str, names: dict[str, Any]) -> str:
    """Type *session*, and return what came otherwise than it says."""
    test = doctest.DocTestParser().get_doctest(session, names, "page", "page", 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    complaints = StringIO()
    runner.run(test, out=complaints.write, clear_globs=False)
    names.update(test.globs)
    return complaints.getvalue()


def databases_asked(expression: str, names: dict[str, Any]) -> list[str]:
    """Evaluate *expression* to its end, and return the databases that it asked, or the name of its error."""
    from django.db import connections
    from django.db.models import QuerySet

    from shardkit.errors import ShardkitError

    asked: set[str] = set()

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
        if not TRANSACTION.match(sql):
            asked.add(context["connection"].alias)
        return execute(sql, params, many, context)

    with ExitStack() as stack:
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(note))
        try:
            value = eval(expression, names)  # noqa: S307 - it stands in our own documentation
            if isinstance(value, QuerySet) or hasattr(value, "__next__"):
                list(value)
        except ShardkitError as error:
            return [type(error).__name__]
    return sorted(asked)


if __name__ == "__main__":
    main()
