"""How are groups told apart by SELECT DISTINCT where the database itself fails to?

MariaDB answers SELECT DISTINCT with GROUP BY wrongly when its plan sorts a temporary table: rows come twice, or a mean
is 0. Which plan it takes depends on indexes and statistics that gathered rows do not have. So the groups are made in a
subquery there, and told apart around it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.db.models.expressions import ColPairs

from shardkit.vendors.registry import vendor_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

#: The names that Django gives to what the rows are sorted by and do not select.
_SORTED_BY: Final = re.compile(r"`qual\d+`")


class DistinctGroups:
    """Make groups in a subquery of SELECT DISTINCT (a mixin over a vendor's `SQLCompiler`)."""

    if TYPE_CHECKING:
        query: Any
        connection: Any
        qualify: Any
        select: Any
        _meta_ordering: Any

    #: The names of columns behind those that Django selects, which are sorted by and so make rows distinct.
    beyond: tuple[str, ...] = ()

    def pre_sql_setup(self, with_col_aliases: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Prepare the statement: as one whose groups are filtered from outside, by a condition that all meet."""
        extra_select, order_by, group_by = super().pre_sql_setup(with_col_aliases)  # type: ignore[misc]
        if group_by and are_mistaken(self) and not (self.qualify or self._names_twice(extra_select)):
            self.qualify = _All()
        return extra_select, order_by, group_by

    def _names_twice(self, extra_select: Any) -> bool:
        """Say whether the subquery would have columns of one name: Django gives those of a composite key none."""
        composite = any(isinstance(expression, ColPairs) for expression, _, _ in self.select)
        return composite or bool(self._meta_ordering and extra_select)

    def get_qualify_sql(self) -> tuple[list[str], list[Any]]:
        """Select the distinct rows around the subquery, with all that they are sorted by, as Django does without it."""
        if not isinstance(self.qualify, _All):
            return super().get_qualify_sql()  # type: ignore[misc, no-any-return]
        whole, self.query = self.query, self.query.clone()
        self.query.distinct = False
        try:
            result, params = super().get_qualify_sql()  # type: ignore[misc]
        finally:
            self.query = whole
        self.beyond = ()
        if result[0] != "SELECT":
            return [result[0].replace("SELECT", "SELECT DISTINCT", 1), *result[1:]], params
        self.beyond = tuple(dict.fromkeys(_SORTED_BY.findall(result[-1])))
        return ["SELECT DISTINCT", ", ".join((result[1], *self.beyond)), *result[2:]], params


class _All:
    """A condition on groups that all of them meet."""

    def leaves(self) -> Iterator[Any]:
        """Name nothing that the subquery would have to select."""
        return iter(())

    def replace_expressions(self, _replacements: Any) -> _All:
        """Stay as it is."""
        return self

    def as_sql(self, _compiler: Any, _connection: Any) -> tuple[str, list[Any]]:
        """Write it."""
        return "1 = 1", []


def are_mistaken(compiler: Any) -> bool:
    """Say whether the database may give wrong rows for the statement of *compiler*, if that has groups."""
    query = compiler.query
    return bool(query.distinct and not query.combinator and not vendor_of(compiler.connection).knows_distinct_groups)


@cache
def compiler_of(module: ModuleType, name: str) -> Any:
    """Return the compiler *name* of a backend's compiler *module*, with the mixin if it compiles a SELECT."""
    base = getattr(module, name)
    return type(name, (DistinctGroups, base), {}) if name == "SQLCompiler" else base
