"""What can go wrong with a query?"""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.core.paginator import InvalidPage
from django.db import NotSupportedError, OperationalError

from shardkit.errors.root import ShardkitError


class GatherLimitExceeded(ShardkitError, OperationalError):
    """A query needs more rows of other databases in one place than the settings allow."""

    template = (
        "The query needs more than {limit} of other databases in one place; {counts} had come when reading stopped. "
        "Filter on columns of these tables, so that fewer rows travel, or raise {setting}."
    )

    def __init__(self, counts: str, limit: str, setting: str) -> None:
        super().__init__(counts, limit, setting)
        self.counts, self.limit, self.setting = counts, limit, setting


class FanoutBudgetExceeded(ShardkitError, NotSupportedError):
    """A request or a block of code sends more statements to shards than its budget allows."""

    template = (
        "The budget of {limit} statements to shards is exceeded: {statements} by now. The last are from {line}: "
        "{query}. Let the query name the shard key, fetch the rows of a loop by one query, or set "
        "SHARDKIT['FANOUT_BUDGET'] higher."
    )

    def __init__(self, statements: int, limit: int, line: str, query: str) -> None:
        super().__init__(statements, limit, line, query)
        self.statements, self.limit, self.line, self.query = statements, limit, line, query


class CursorInvalid(ShardkitError, InvalidPage, BadRequest):
    """A cursor is damaged, forged, or of another query. Nobody caught it: Django answers 400."""

    template = "This cursor is no cursor of {query}: {why}. Begin at the first page, which needs none."

    def __init__(self, query: str, why: str) -> None:
        super().__init__(query, why)
        self.query, self.why = query, why


class OrderNotPageable(ShardkitError, NotSupportedError):
    """The rows of a query have no order that a cursor could go on from."""

    template = "{query} cannot be paged through by a cursor: {why}. {remedy}"

    def __init__(self, query: str, why: str, remedy: str) -> None:
        super().__init__(query, why, remedy)
        self.query, self.why, self.remedy = query, why, remedy


class CrossShardQuery(ShardkitError, NotSupportedError):
    """The query needs several shards in a way that is not supported."""

    template = "{operation} needs {plan} because {why}. {remedy}"

    def __init__(self, operation: str, plan: str, why: str, remedy: str) -> None:
        super().__init__(operation, plan, why, remedy)
        self.operation, self.plan, self.why, self.remedy = operation, plan, why, remedy


class CrossDatabaseQuery(ShardkitError, NotSupportedError):
    """The query joins tables that live on different databases."""

    template = "{operation} joins tables of different databases: {tables}. {remedy}"

    def __init__(self, operation: str, tables: str, remedy: str) -> None:
        super().__init__(operation, tables, remedy)
        self.operation, self.tables, self.remedy = operation, tables, remedy


class MixedDatabases(ShardkitError, ValueError):
    """Querysets of different databases were combined."""

    template = (
        "{model}: {operation} combines a queryset of {left!r} with one of {right!r}; one of them would be ignored. "
        "Leave out .using(), or combine the results in Python."
    )

    def __init__(self, model: str, operation: str, left: str, right: str) -> None:
        super().__init__(model, operation, left, right)
        self.model, self.operation, self.left, self.right = model, operation, left, right
