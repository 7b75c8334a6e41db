"""Which parts of a query are text to us, and which text is that?

What Django's own classes write is known. What an application's class writes, and what a caller told a class of
Django's to write, is found out by letting it write.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models.expressions import Func, RawSQL
from django.db.models.sql.query import Query
from django.db.models.sql.where import ExtraWhere

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Whose classes write what is known.
_KNOWN: Final = ("django.", "shardkit.")
#: What a caller may tell a function, or a subquery, to write in place of its own.
_TOLD: Final = frozenset({"function", "template"})


def is_opaque(node: Any) -> bool:
    """Say whether somebody else than Django decides what the expression *node* writes."""
    if isinstance(node, (RawSQL, ExtraWhere)):
        return True
    if isinstance(node, Query) or not hasattr(node, "as_sql"):
        return False
    kind: type[Any] = type(node)
    if kind is Func or not _is_known(kind.__module__):
        return True
    told = getattr(node, "extra", None)
    if isinstance(told, dict) and not _TOLD.isdisjoint(told):
        return True
    # Since Django 6.1 a subquery keeps what it is told in its own attribute.
    return getattr(node, "template", None) != getattr(kind, "template", None)


@cache
def _is_known(module: str) -> bool:
    return module.startswith(_KNOWN)


def text_of(node: Any, compiler: Any) -> str:
    """Return what the opaque *node* writes for *compiler*, without what is written by the expressions inside of it."""
    if isinstance(node, RawSQL):
        return node.sql
    if isinstance(node, ExtraWhere):
        return "\n".join(node.sqls)
    text = _written(node, compiler)
    for part in sorted(_written_inside(node, compiler), key=len, reverse=True):
        text = text.replace(part, "()" if part.startswith("(") else "NULL")
    return text


def _written_inside(node: Any, compiler: Any) -> Iterator[str]:
    for part in node.get_source_expressions() if hasattr(node, "get_source_expressions") else ():
        if hasattr(part, "as_sql") and (text := _written(part, compiler)):
            yield text


def _written(node: Any, compiler: Any) -> str:
    try:
        sql: str = compiler.compile(node)[0]
    except (EmptyResultSet, FullResultSet):
        return ""
    return sql
