"""What can be sent from one database to another as a key, so that it equals there what it equals where it is from?"""

from __future__ import annotations

from typing import Any, Final

from shardkit.errors import ShardKeyUnhashable
from shardkit.vendors.base import kind_of

#: How many keys are sent to the shards at most.
MAX_KEYS: Final = 1000
#: What keys may be, and the types in which drivers give such values: those mean the same when they are sent back.
_TYPES: Final[dict[str, frozenset[str]]] = {
    "int": frozenset({"int"}),
    "text": frozenset({"str"}),
    "uuid": frozenset({"UUID", "str"}),
}
#: Where the fields come from whose values are what their type says.
_OUR_FIELDS: Final = ("django.", "shardkit.")


def key_kind(field: Any) -> str | None:
    """Return what the values of *field* are, None when they are nothing that can be sent back as it came."""
    if not type(field).__module__.startswith(_OUR_FIELDS):
        return None
    try:
        kind = kind_of(field)
    except ShardKeyUnhashable:
        return None
    return kind if kind in _TYPES else None


def is_key(value: Any, kind: str) -> bool:
    """Say whether *value* has a type in which keys of that *kind* come, so that it can be sent anywhere."""
    return type(value).__name__ in _TYPES[kind]
