"""How many statements does a block send, to all databases together?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from django.db import connections

from shardkit import conf

#: The statements that were sent, by the alias of their database.
Sent = dict[str, list[str]]

_TRANSACTION: Final = re.compile(r"\s*(BEGIN|START TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


@contextmanager
def assert_num_queries(total: int | None = None, /, **databases: int) -> Iterator[Sent]:
    """Fail unless the block sends *total* statements to all databases together, or to each the number that is named.

    ``assert_num_queries(3)`` counts on `default`, on every shard and on all other databases;
    ``assert_num_queries(default=1, shard_0=2)`` expects none on any other one. What only opens or ends transactions and
    savepoints is not counted: each shard joins the transaction of a test when it is first asked.
    """
    if (total is None) == (not databases):
        raise TypeError("assert_num_queries(): say how many statements in total, or how many on which databases.")
    _require_known(databases)
    sent: Sent = {}
    with ExitStack() as stack:
        for alias in _counted():
            stack.enter_context(connections[alias].execute_wrapper(_noting(sent, alias)))
        yield sent
    counts = {alias: len(statements) for alias, statements in sent.items()}
    if total is not None and sum(counts.values()) != total:
        raise AssertionError(_told(sent, f"{total} expected"))
    if total is None and counts != {alias: count for alias, count in databases.items() if count}:
        wanted = ", ".join(f"{count} on {alias}" for alias, count in databases.items())
        raise AssertionError(_told(sent, f"{wanted} and no others expected"))


def _require_known(databases: Mapping[str, int]) -> None:
    for alias in databases:
        if alias not in _counted():
            known = ", ".join(_counted())
            raise ValueError(f"assert_num_queries(): {alias!r} is none of the databases that are counted: {known}.")


def _counted() -> list[str]:
    """List the databases, each once: in tests a replica is a mirror of its primary."""
    replicas = conf.get_settings().replica_aliases
    return [alias for alias in connections if alias not in replicas]


def _noting(sent: Sent, alias: str) -> Callable[..., Any]:
    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if not _TRANSACTION.match(str(sql)):
            sent.setdefault(alias, []).append(str(sql))
        return execute(sql, params, many, context)

    return note


def _told(sent: Sent, expected: str) -> str:
    """Show every statement under its database."""
    total = sum(map(len, sent.values()))
    lines = [f"{total} statement{'' if total == 1 else 's'} sent, {expected}."]
    for alias, statements in sent.items():
        lines.append(f"  {alias}: {len(statements)}")
        lines += [f"    {number}. {sql}" for number, sql in enumerate(statements, start=1)]
    return "\n".join(lines)
