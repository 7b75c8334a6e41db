"""Which line of the application are we working for?"""

from __future__ import annotations

import asyncio
import inspect
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asgiref
import django
from asgiref.sync import SyncToAsync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: Where code lives that works for somebody else. This package has more than one place when it is being developed.
_LIBRARIES: Final = tuple(
    {
        "<frozen",
        "<string>",
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *(str(Path(str(module.__file__)).parent) for module in (asgiref, django)),
        str(Path(__file__).parent),
    }
)
UNKNOWN: Final = "a line that the stack does not show"


def calling_line() -> str:
    """Return the file and line of the innermost frame that is the application's own."""
    for frame in _frames():
        name = frame.f_code.co_filename
        if not name.startswith(_LIBRARIES):
            return f"{name}:{frame.f_lineno}"
    return UNKNOWN


def _frames() -> Iterator[FrameType]:
    """Yield the frames of this thread, innermost first, and then those of the coroutine that waits for it."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        yield frame
        if frame.f_code is SyncToAsync.thread_handler.__code__:
            yield from _waiting(frame.f_locals["self"], frame.f_locals["loop"])
        frame = frame.f_back


def _waiting(waited_for: SyncToAsync[Any, Any], loop: asyncio.AbstractEventLoop) -> Iterator[FrameType]:
    """Yield the frames of the coroutines that wait for a function on this thread, innermost first."""
    for task in asyncio.all_tasks(loop):
        chain: list[FrameType] = []
        coroutine: Any = task.get_coro()
        while coroutine is not None and getattr(coroutine, "cr_frame", None) is not None:
            chain.append(coroutine.cr_frame)
            coroutine = coroutine.cr_await
        if chain and chain[-1].f_locals.get("self") is waited_for:
            yield from reversed(chain)
