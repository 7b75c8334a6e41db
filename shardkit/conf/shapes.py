"""What does the SHARDKIT dictionary say, before anybody asks whether it is true?

Pure: reads a dictionary. `shape_problems` first; what it lets pass, the other functions read without an error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from shardkit.topology.names import DEFAULT_BUCKETS, MAX_BUCKETS, Alias, ShardId
from shardkit.topology.nodes import Shard

#: Every key that SHARDKIT may have.
KNOWN_KEYS: Final = (
    "SHARDS",
    "REPLICAS",
    "PLACEMENT",
    "BUCKETS",
    "ID_BLOCK",
    "LOOKUP_CACHE",
    "MIGRATE_WORKERS",
    "FANOUT_BUDGET",
    "FANOUT_CAP",
    "FANOUT_DEADLINE",
    "GATHER_BYTES",
    "GATHER_COORDINATOR",
    "GATHER_CTE_ROWS",
    "GATHER_ROWS",
    "REPLICA_INTERVAL",
    "REPLICA_MAX_LAG",
    "REPLICA_PRIMARY_CAP",
    "REPLICA_READS",
    "REPLICA_WAIT",
    "REPLICA_WEIGHTS",
    "REPLICA_WHEN_STALE",
    "STICKY_CACHE",
    "STICKY_COOKIE",
    "STICKY_HEADER",
    "STICKY_KEY",
    "STICKY_STORE",
)
#: How many ids a process takes from the catalog at a time; what it has not used when it ends is lost.
DEFAULT_ID_BLOCK: Final = 1000
#: How many databases `migrate_shards` works on at once.
DEFAULT_MIGRATE_WORKERS: Final = 4
#: How many rows, and how many bytes of them, one statement may bring together in one place.
DEFAULT_GATHER_ROWS: Final = 100_000
DEFAULT_GATHER_BYTES: Final = 256 * 2**20
#: Up to how many rows travel as parameters of the statement; more are copied to temporary tables.
DEFAULT_GATHER_CTE_ROWS: Final = 1000
#: How often, in seconds, the positions of databases with replicas are compared.
DEFAULT_REPLICA_INTERVAL: Final = 0.25
#: A replica that is further behind than this many seconds is read by nobody.
DEFAULT_REPLICA_MAX_LAG: Final = 30.0
#: How long, in seconds, a read waits for a replica where SHARDKIT["REPLICA_WHEN_STALE"] is ``"wait"``.
DEFAULT_REPLICA_WAIT: Final = 0.5
#: What a read does for which no replica is fresh enough.
WHEN_STALE: Final = ("primary", "wait", "raise")
#: How a session's positions travel from one request to the next; each key of SHARDKIT is ``STICKY_`` and this.
DEFAULT_STICKY: Final[Mapping[str, str]] = {
    "STORE": "cookie",
    "COOKIE": "shardkit",
    "HEADER": "X-Shardkit-Session",
    "CACHE": "default",
    "KEY": "user",
}
#: What happens to a statement beyond SHARDKIT["FANOUT_BUDGET"].
BUDGET_ACTIONS: Final = ("warn", "raise")
#: The cache of lookups, a key of ``settings.CACHES``.
DEFAULT_LOOKUP_CACHE: Final = "default"

SHARD_FORMS: Final = (
    'Write a list of aliases, {name: alias}, or {name: {"primary": alias, "replicas": [alias, …]}}; '
    "an alias is a key of DATABASES."
)
SECONDS_FORM: Final = 'a number of seconds above 0, or {alias of a primary: seconds, "*": seconds of the others}'
WHEN_STALE_FORM: Final = '"primary", "wait" or "raise", or {alias of a primary: one of them, "*": that of the others}'
BUDGET_FORM: Final = '{"statements": a whole number, "action": "warn" or "raise"}, or None'
#: An app label, or an app label and a model name.
PLACEMENT_KEY: Final = re.compile(r"\w+(\.\w+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the settings: a stable check id, the fact, and the remedy."""

    id: str
    fact: str
    hint: str


def shape_problems(raw: object) -> list[Problem]:
    """List what cannot be understood in *raw*, the value of SHARDKIT. Nothing can go on with any of these."""
    if not isinstance(raw, Mapping):
        return [Problem("shardkit.E001", f"SHARDKIT is a {type(raw).__name__}.", "Make it a dictionary.")]
    found: list[Problem] = []
    for part in (_shards_shape, _placement_shape, _replicas_shape, _numbers, _repeated_placements):
        found.extend(part(raw))
    return found


def shards_in(raw: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Read SHARDKIT["SHARDS"] in any of its three forms."""
    given = raw.get("SHARDS") or {}
    if not isinstance(given, Mapping):
        given = {alias: alias for alias in given}
    return tuple(_shard(name, entry) for name, entry in given.items())


def placement_in(raw: Mapping[str, Any]) -> dict[str, Alias]:
    """Read SHARDKIT["PLACEMENT"]: an app or ``app.model``, in lower case, to its alias."""
    return {key.lower(): Alias(alias) for key, alias in (raw.get("PLACEMENT") or {}).items()}


def replicas_in(raw: Mapping[str, Any]) -> dict[Alias, tuple[Alias, ...]]:
    """Read the replicas of every primary: those of SHARDKIT["REPLICAS"] and those of the shards."""
    replicas = {Alias(alias): tuple(map(Alias, names)) for alias, names in (raw.get("REPLICAS") or {}).items()}
    for shard in shards_in(raw):
        replicas[shard.primary] = (*replicas.get(shard.primary, ()), *shard.replicas)
    return {alias: names for alias, names in replicas.items() if names}


def by_primary_in(raw: Mapping[str, Any], key: str, default: Any) -> tuple[Any, dict[Alias, Any]]:
    """Read an option that primaries may have their own of: what holds where nothing is said, and what is."""
    given = raw.get(key, default)
    if not isinstance(given, Mapping):
        return given, {}
    named = {Alias(alias): value for alias, value in given.items()}
    return named.pop(Alias("*"), default), named


def sticky_in(raw: Mapping[str, Any]) -> dict[str, str]:
    """Read the STICKY_… options, without their prefix."""
    return {key: raw.get(f"STICKY_{key}", default) for key, default in DEFAULT_STICKY.items()}


def _shard(name: str, entry: str | Mapping[str, Any]) -> Shard:
    """Read one entry of SHARDKIT["SHARDS"]."""
    if isinstance(entry, str):
        return Shard(name=ShardId(name), primary=Alias(entry))
    return Shard(
        name=ShardId(name), primary=Alias(entry["primary"]), replicas=tuple(map(Alias, entry.get("replicas") or ()))
    )


def _is_name(value: object) -> bool:
    """Say whether *value* can name something."""
    return isinstance(value, str) and bool(value)


def _are_names(value: object) -> bool:
    """Say whether *value* is a list of names."""
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(_is_name, value))


def _is_shard_entry(entry: object) -> bool:
    """Say whether *entry* is an alias, or a dictionary with a primary and perhaps replicas."""
    if not isinstance(entry, Mapping):
        return _is_name(entry)
    return (
        entry.keys() <= {"primary", "replicas"}
        and _is_name(entry.get("primary"))
        and _are_names(entry.get("replicas") or ())
    )


def _shards_shape(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what cannot be a list of shards."""
    given = raw.get("SHARDS") or {}
    if isinstance(given, Mapping):
        for name, entry in given.items():
            if not (_is_name(name) and _is_shard_entry(entry)):
                yield Problem("shardkit.E003", f"SHARDKIT['SHARDS'][{name!r}] cannot be read as a shard.", SHARD_FORMS)
    elif not _are_names(given):
        yield Problem("shardkit.E003", "SHARDKIT['SHARDS'] cannot be read as shards.", SHARD_FORMS)


def _placement_shape(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what cannot be a placement of an app or a model."""
    given = raw.get("PLACEMENT") or {}
    hint = 'Write {"app": alias} or {"app.Model": alias}; an alias is a key of DATABASES.'
    if not isinstance(given, Mapping):
        yield Problem("shardkit.E004", f"SHARDKIT['PLACEMENT'] is a {type(given).__name__}.", hint)
        return
    for key, alias in given.items():
        if not (isinstance(key, str) and PLACEMENT_KEY.fullmatch(key) and _is_name(alias)):
            yield Problem("shardkit.E004", f"SHARDKIT['PLACEMENT'][{key!r}] cannot be read as a placement.", hint)


def _replicas_shape(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what cannot be a list of replicas."""
    given = raw.get("REPLICAS") or {}
    if not isinstance(given, Mapping) or not all(_is_name(alias) and _are_names(given[alias]) for alias in given):
        yield Problem(
            "shardkit.E005",
            "SHARDKIT['REPLICAS'] cannot be read as replicas.",
            'Write {"default": [alias, …]}; a shard\'s replicas stand with the shard in SHARDKIT["SHARDS"].',
        )


def _is_whole(value: object, *, lowest: int, highest: float) -> bool:
    """Say whether *value* is an integer, not a boolean, between *lowest* and *highest*."""
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _numbers(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Find values that are not the number, or the name, that they have to be."""
    rules: tuple[tuple[str, str, object, Callable[[object], bool], str], ...] = (
        ("shardkit.E006", "BUCKETS", DEFAULT_BUCKETS, _is_bucket_count, f"a whole number from 1 to {MAX_BUCKETS}"),
        ("shardkit.E007", "ID_BLOCK", DEFAULT_ID_BLOCK, _is_positive, "a whole number above 0"),
        ("shardkit.E007", "MIGRATE_WORKERS", DEFAULT_MIGRATE_WORKERS, _is_positive, "a whole number above 0"),
        ("shardkit.E022", "LOOKUP_CACHE", DEFAULT_LOOKUP_CACHE, _is_name, "a key of CACHES"),
        ("shardkit.E026", "FANOUT_BUDGET", None, _is_budget, BUDGET_FORM),
        ("shardkit.E026", "FANOUT_CAP", None, _is_positive_or_none, "a whole number above 0, or None"),
        ("shardkit.E026", "FANOUT_DEADLINE", None, _is_seconds, "a number of seconds above 0, or None"),
        ("shardkit.E026", "GATHER_BYTES", DEFAULT_GATHER_BYTES, _is_positive, "a whole number above 0"),
        ("shardkit.E026", "GATHER_COORDINATOR", None, _is_name_or_none, "a key of DATABASES, or None"),
        ("shardkit.E026", "GATHER_CTE_ROWS", DEFAULT_GATHER_CTE_ROWS, _is_natural, "a whole number of 0 or more"),
        ("shardkit.E026", "GATHER_ROWS", DEFAULT_GATHER_ROWS, _is_positive, "a whole number above 0"),
        ("shardkit.E028", "REPLICA_INTERVAL", DEFAULT_REPLICA_INTERVAL, _is_seconds, "a number of seconds above 0"),
        ("shardkit.E028", "REPLICA_MAX_LAG", DEFAULT_REPLICA_MAX_LAG, _are_seconds, SECONDS_FORM),
        ("shardkit.E028", "REPLICA_PRIMARY_CAP", None, _is_positive_or_none, "a whole number above 0, or None"),
        ("shardkit.E028", "REPLICA_READS", True, lambda value: isinstance(value, bool), "True or False"),
        ("shardkit.E028", "REPLICA_WAIT", DEFAULT_REPLICA_WAIT, _are_seconds, SECONDS_FORM),
        ("shardkit.E028", "REPLICA_WEIGHTS", {}, _is_weights, "{alias of a replica: a number of 0 or more}"),
        ("shardkit.E028", "REPLICA_WHEN_STALE", WHEN_STALE[0], _are_when_stale, WHEN_STALE_FORM),
        *(("shardkit.E028", f"STICKY_{key}", default, _is_name, "a text") for key, default in DEFAULT_STICKY.items()),
    )
    for check_id, key, default, is_right, wanted in rules:
        value = raw.get(key, default)
        if not is_right(value):
            yield Problem(check_id, f"SHARDKIT[{key!r}] is {value!r}.", f"Make it {wanted}.")


def _is_bucket_count(value: object) -> bool:
    """Say whether a cluster can have *value* buckets."""
    return _is_whole(value, lowest=1, highest=MAX_BUCKETS)


def _is_positive(value: object) -> bool:
    """Say whether *value* is a whole number above zero."""
    return _is_whole(value, lowest=1, highest=float("inf"))


def _is_natural(value: object) -> bool:
    """Say whether *value* is a whole number of zero or more."""
    return _is_whole(value, lowest=0, highest=float("inf"))


def _is_positive_or_none(value: object) -> bool:
    """Say whether *value* is a whole number above zero, or not given."""
    return value is None or _is_positive(value)


def _is_name_or_none(value: object) -> bool:
    """Say whether *value* can name something, or is not given."""
    return value is None or _is_name(value)


def _is_seconds(value: object) -> bool:
    """Say whether *value* is a time that can pass, or not given."""
    return value is None or (_is_number(value) and 0 < value < float("inf"))


def _is_number(value: Any) -> TypeGuard[float]:
    """Say whether *value* is a number, and not a boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are_seconds(value: object) -> bool:
    """Say whether *value* is a number of seconds, or one for each of some primaries."""
    return all(seconds is not None and _is_seconds(seconds) for seconds in _by_primary(value))


def _are_when_stale(value: object) -> bool:
    """Say whether *value* says what to do when nothing is fresh enough, or that for each of some primaries."""
    return all(map(WHEN_STALE.__contains__, _by_primary(value)))


def _by_primary(value: object) -> list[object]:
    """List what *value* says of all primaries, or of each that it names."""
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _is_weights(value: object) -> bool:
    """Say whether *value* says how much of the reading each replica takes."""
    return isinstance(value, Mapping) and all(
        _is_name(alias) and _is_number(weight) and 0 <= weight < float("inf") for alias, weight in value.items()
    )


def _is_budget(value: object) -> bool:
    """Say whether *value* says how many statements a request may send to shards, and what happens beyond."""
    if value is None:
        return True
    return (
        isinstance(value, Mapping)
        and value.keys() == {"statements", "action"}
        and _is_natural(value["statements"])
        and value["action"] in BUDGET_ACTIONS
    )


def _repeated_placements(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Find apps and models that are placed twice, spelled differently."""
    given = raw.get("PLACEMENT") or {}
    if not isinstance(given, Mapping):
        return
    spellings = [key for key in given if isinstance(key, str)]
    for key, times in Counter(map(str.lower, spellings)).items():
        if times > 1:
            both = " and ".join(repr(spelling) for spelling in spellings if spelling.lower() == key)
            yield Problem(
                "shardkit.E008",
                f"SHARDKIT['PLACEMENT'] places one thing twice: {both}.",
                "Keep one of them: labels are compared without regard to case.",
            )
