"""How is a read tried elsewhere when its replica fails?

As long as no row was handed out: rows of another database are those of another moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shardkit.consistency.reading import Reading


def read(reading: Reading, run: Callable[[], Any], note: Callable[[], None], *, is_streamed: bool) -> Any:
    """Return what *run* answers, which reads by *reading*, and let *note* be called when it has.

    The rows of an answer that *is_streamed* come while the caller takes them.
    """
    try:
        answer = _tried(reading, run)
        if not is_streamed:
            note()
    except BaseException:  # Ctrl-C too: whatever ends the statement, another read may have its place
        reading.end()
        raise
    if is_streamed:
        return _streamed(reading, run, answer, note)
    reading.end()
    return answer


def _tried(reading: Reading, run: Callable[[], Any]) -> Any:
    while True:
        try:
            return run()
        except Error as error:
            if not reading.lost(error):
                raise


def _streamed(reading: Reading, run: Callable[[], Any], answer: Any, note: Callable[[], None]) -> Iterator[Any]:
    """Yield the chunks of *answer* as they come, those of another database if none has come of this one."""
    answers = [answer]

    def begun() -> tuple[Any, Iterator[Any]]:
        chunks = iter(answers.pop() if answers else run())
        return next(chunks, None), chunks

    try:
        chunk, chunks = _tried(reading, begun)
        note()
        while chunk is not None:
            yield chunk
            chunk = _next(reading, chunks)
    finally:
        reading.end()


def _next(reading: Reading, chunks: Iterator[Any]) -> Any:
    try:
        return next(chunks, None)
    except Error as error:
        reading.broke_off(error)
        raise
