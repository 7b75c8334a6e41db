"""How do Django's execute wrappers see the statements of a fan-out?

They run on the calling thread, whose connection they are given and whose context they may set, each around its own
statement: the first calls on, which brings the second in, and so on; the innermost step executes all statements at
once, and then every wrapper gets back what came of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shardkit.fanout.statements import Statement


def execute_wrapped(statements: Sequence[Statement], execute: Callable[[], None]) -> None:
    """Call *execute*, which runs all *statements*, inside the execute wrappers of each of them."""
    nest = _Nest(statements, execute)
    nest.enter(0)
    if nest.failure is not None:
        raise nest.failure


class _Nest:
    def __init__(self, statements: Sequence[Statement], execute: Callable[[], None]) -> None:
        self._statements, self._execute = statements, execute
        self.failure: BaseException | None = None

    def enter(self, position: int) -> None:
        """Run the statements from *position* on inside their wrappers; what goes wrong is in `failure`."""
        if position == len(self._statements):
            self._keeping_failure(None, self._execute)
            return
        statement = self._statements[position]
        self._keeping_failure(statement, partial(self._wrap, statement, position))
        if not statement.is_unwrapped and self.failure is None:  # a wrapper answered by itself
            statement.is_unwrapped = statement.is_done = True
            self.enter(position + 1)

    def _wrap(self, statement: Statement, position: int) -> None:
        executor: Any = partial(self._called_on, statement, position)
        for wrapper in reversed(statement.cursor.db.execute_wrappers):
            executor = partial(wrapper, executor)
        executor(
            statement.sql, statement.params, False, {"connection": statement.cursor.db, "cursor": statement.cursor}
        )

    def _called_on(
        self, statement: Statement, position: int, sql: str, params: Any, _many: object, _context: object
    ) -> Any:
        """Be what the innermost wrapper of *statement* calls in order to execute it."""
        statement.sql, statement.params = sql, params
        if statement.is_unwrapped:  # a wrapper that tries again
            statement.execute()
            statement.error = None
            return statement.result
        statement.is_unwrapped = True
        self.enter(position + 1)
        if statement.error is not None:
            raise statement.error
        if self.failure is not None and not statement.is_done:
            raise self.failure
        return statement.result

    def _keeping_failure(self, statement: Statement | None, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - wrappers are anybody's code; raised when all have been left
            if self.failure is None or (statement is not None and statement.error is self.failure):
                self.failure = error
