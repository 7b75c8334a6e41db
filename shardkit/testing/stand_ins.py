"""On what does a statement run that reads a replica which is only simulated?

On the connection of the primary, as a test has it, with all that is in its transaction; but by another name, and
unobserved: a session that reads a replica has not seen what its primary has.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from shardkit.consistency.observing import is_noting

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper as _Wrapper

    from shardkit.topology.names import Alias
else:
    _Wrapper = object


def stand_in(connection: Any, replica: Alias) -> Any:
    """Return what is *connection* in everything but its name, which is *replica*, and in who watches it."""
    kind: Any = type(connection)
    found = object.__new__(_standing_in(kind, replica))
    found.__dict__ = connection.__dict__  # one state, whichever of the two changes it
    return found


def _own(name: str) -> Any:
    """Return a property that is the method *name* of the stand-in, unless a test forbids to use the database.

    Django does that by attributes of the connection, and leaves the methods of the primary's there when it ends.
    """

    def get(self: StandIn) -> Any:
        given = self.__dict__.get(name)
        if given is None or getattr(given, "__self__", None) is self.ops.connection:
            return getattr(super(StandIn, self), name)
        return given

    return property(get)


class StandIn(_Wrapper):
    """A connection that stands in for one to a replica (a mixin of the class of the primary's)."""

    cursor = _own("cursor")
    chunked_cursor = _own("chunked_cursor")
    temporary_connection = _own("temporary_connection")

    #: What it is called.
    replica: Alias

    @property
    def alias(self) -> str:  # type: ignore[override]
        """The alias of the replica."""
        return self.replica

    @property
    def execute_wrappers(self) -> list[Any]:  # type: ignore[override]
        """What is called around each statement, but for what notes what a session has seen of a primary."""
        return [wrapper for wrapper in self.__dict__["execute_wrappers"] if not is_noting(wrapper)]

    def connect(self) -> None:
        """Let the primary's connection connect, as the one that it is."""
        self.ops.connection.connect()


@cache
def _standing_in(kind: Any, replica: Alias) -> Any:
    plain = getattr(kind, "plain_class", kind)
    return type(
        kind.__name__, (StandIn, kind), {"replica": replica, "plain_class": plain, "__module__": kind.__module__}
    )
