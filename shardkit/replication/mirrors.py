"""Which replicas are the database of their own primary, as they are in tests?

Django's test runner makes one test database for a primary and lets each alias whose TEST has a MIRROR lead there, too.
Such a replica lacks nothing and shows nothing that its primary does not, so the primary answers, and nobody measures
it. Nor is a database in memory measured: its tables belong to the connection that writes them, and whoever asks from
another thread finds them locked, or locks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import connections

from shardkit import conf
from shardkit.conf.databases import identity, is_in_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shardkit.topology.names import Alias

#: Why a primary is not measured.
IN_MEMORY: Final = "it is in memory, where nobody looks at it from another thread"
#: Why a replica is not measured.
COPY_IN_MEMORY: Final = "{0} is in memory, where nobody copies to"
ITSELF: Final = "{0} is this database itself, as the mirror of a test is"

#: What was found for primaries and their replicas of some names: a test runner gives them others.
_found: Final[dict[Alias, tuple[tuple[Any, ...], str | None]]] = {}
conf.settings_reset.append(_found.clear)


def declare() -> None:
    """Let each replica be a mirror of its primary in tests, unless the project says what it is there."""
    entries = _entries()
    for replica, primary in conf.get_settings().primary_of.items():
        if replica in entries and primary in entries and entries[replica] is not entries[primary]:
            given = entries[replica]["TEST"]
            # A new one: several aliases may share what the project wrote.
            entries[replica]["TEST"] = {**given, "MIRROR": given["MIRROR"] or primary}


def why_unmeasured(primary: Alias) -> str | None:
    """Say why nobody knows how far any replica of *primary* is behind, None if that can be measured."""
    entries, replicas = _entries(), conf.get_settings().replicas.get(primary, ())
    names = tuple(entries[alias]["NAME"] for alias in (primary, *replicas) if alias in entries)
    known = _found.get(primary)
    if known is None or known[0] != names:
        whys = [_why_not(primary, replica) for replica in replicas]
        why = None if None in whys else "; ".join(dict.fromkeys(filter(None, whys))) or None
        known = _found[primary] = (names, why)
    return known[1]


def measured(primary: Alias) -> tuple[Alias, ...]:
    """Return the replicas of *primary* that can be measured."""
    replicas = conf.get_settings().replicas.get(primary, ())
    return tuple(replica for replica in replicas if _why_not(primary, replica) is None)


def _why_not(primary: Alias, replica: Alias) -> str | None:
    one, other = _entries().get(primary, {}), _entries().get(replica, {})
    if is_in_memory(one):
        return IN_MEMORY
    if is_in_memory(other):
        return COPY_IN_MEMORY.format(replica)
    # Behind one address a pooler may tell users apart.
    is_same = one.get("USER") == other.get("USER") and identity(one) == identity(other)
    return ITSELF.format(replica) if one and is_same else None


def _entries() -> Mapping[str, dict[str, Any]]:
    """Return the entries of DATABASES, complete."""
    entries: Mapping[str, dict[str, Any]] = connections.settings
    return entries
