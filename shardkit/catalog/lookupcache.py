"""What may a process believe of the buckets that another process cached?

A cached bucket must never outlive a change, not even when a slow reader fetches the old row before the change and
stores it after. The cache framework has no compare-and-set, so the proof rests on names that are never used twice:

- Each directory has a *token* in the cache, a random text. A reader looks at the token first and asks the database
  second; what it stores carries the token it saw, and counts only while that is still the directory's token.
- A change puts a closed sign in the token's place before its transaction commits: readers then ask the database and
  store nothing. After the commit it puts up a new token. Whoever sees that asked the database after the commit and
  found the new row; what a slow reader stores later carries an older token and is not believed.
- A token that was evicted or lost in a restart is replaced by a new random one, never by an old one: a cache that
  forgets costs reads, not truth. A process killed at its commit leaves the sign behind, which expires into a new token.

A cache that fails is not asked, and the database answers; one line in the log says so. Only a change insists on it,
because it could not tell the others. Caches of one process or one machine, and the database's own, are left alone.

All processes must share the cache, with one KEY_PREFIX per cluster. The proof ends where a cache returns to an older
state by itself (a replica or an old snapshot takes over), and where clients disagree on which of several memcached
servers holds a key: a stale bucket then lives for `ENTRY_SECONDS` at most.
"""

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

from django.core.cache import BaseCache, caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache

from shardkit.conf import get_settings
from shardkit.errors import LookupCacheUnanswered

logger = logging.getLogger(__name__)

#: How long a bucket stays cached, in seconds.
ENTRY_SECONDS: Final = 300
#: How long the closed sign stands at most, in seconds, when a change was rolled back or its process killed.
CLOSED_SECONDS: Final = 60
#: How long a change waits before each try to reach the cache, in seconds. Another process may have emptied it at that
#: moment; and pymemcache keeps away from a server for one second after an error, and says nothing.
PAUSES_SECONDS: Final = (0, 0, 1.1, 1.1)

CLOSED: Final = "closed"
#: Other processes do not see these, or they cost what the answer itself costs.
LEFT_ALONE: Final = (LocMemCache, FileBasedCache, DatabaseCache, DummyCache)
#: What the drivers raise besides OSError when a server is away.
DRIVER_ERRORS: Final = (
    ("pymemcache.exceptions", "MemcacheError"),
    ("pylibmc", "Error"),
    ("redis.exceptions", "RedisError"),
    ("valkey.exceptions", "ValkeyError"),
    ("django_redis.exceptions", "ConnectionInterrupted"),
)

_Answer = TypeVar("_Answer")


class Seen(NamedTuple):
    """What the cache says about one key."""

    #: The bucket, if it can be believed.
    bucket: int | None = None
    #: What a bucket must carry that is read from the database from now on; None when nothing may be stored.
    token: str | None = None


def look(directory: str, digest: str) -> Seen:
    """Ask the cache for the key *digest* of *directory*."""
    return _ask(lambda cache: _look(cache, _token_name(directory), _entry_name(digest))) or Seen()


def store(digest: str, bucket: int, token: str) -> None:
    """Cache *bucket*, which the database said after *token* was seen, outside any transaction."""
    _ask(lambda cache: cache.set(_entry_name(digest), f"{token} {bucket}", ENTRY_SECONDS))


def close(directory: str) -> None:
    """Let nobody use the cache for *directory* until `reopen`, or raise `LookupCacheUnanswered`."""
    if _shared_cache() is not None and not _insist(_token_name(directory), CLOSED, CLOSED_SECONDS):
        raise LookupCacheUnanswered(get_settings().lookup_cache)


def reopen(directory: str) -> None:
    """Let everybody use the cache for *directory* again, and believe nothing that was stored before."""
    if _shared_cache() is not None and not _insist(_token_name(directory), _new_token(), None):
        logger.error(
            "The cache %r did not answer after the directory %r was changed: "
            "should it come back with its old content, it may be believed for up to %s seconds.",
            *(get_settings().lookup_cache, directory, ENTRY_SECONDS),
        )


def _look(cache: BaseCache, token_name: str, entry_name: str) -> Seen | None:
    found = cache.get_many([token_name, entry_name])
    token = found.get(token_name)
    if token is None:
        token = _put_up_token(cache, token_name)
        return None if token is None else Seen(token=token)
    if token == CLOSED:
        return Seen()
    stored_token, _, bucket = str(found.get(entry_name, "")).partition(" ")
    return Seen(int(bucket) if stored_token == token else None, token)


def _put_up_token(cache: BaseCache, name: str) -> str | None:
    token = _new_token()
    if cache.add(name, token, None):
        return token
    token = cache.get(name, CLOSED)
    return None if token == CLOSED else token


def _new_token() -> str:
    return secrets.token_hex(16)


def _insist(name: str, value: str, timeout: int | None) -> bool:
    """Set *name* and say whether it stands there: some clients drop a write without a word."""
    for pause in PAUSES_SECONDS:
        time.sleep(pause)
        if _ask(lambda cache: _set_and_read(cache, name, value, timeout)):
            return True
    return False


def _set_and_read(cache: BaseCache, name: str, value: str, timeout: int | None) -> bool:
    cache.set(name, value, timeout)
    return bool(cache.get(name) == value)


def _token_name(directory: str) -> str:
    """Name a token. Hexadecimal digits suit every cache: memcached takes no blanks and at most 250 bytes."""
    return f"shardkit:directory:{sha256(directory.encode()).hexdigest()}"


def _entry_name(digest: str) -> str:
    return f"shardkit:lookup:{digest}"


def _shared_cache() -> BaseCache | None:
    cache = caches[get_settings().lookup_cache]
    return None if isinstance(cache, LEFT_ALONE) else cache


class _Health:
    """Whether the log says that the cache does not answer."""

    is_failing = False


def _ask(question: Callable[[BaseCache], _Answer]) -> _Answer | None:
    """Return what the cache answers, None when it fails or is left alone."""
    cache = _shared_cache()
    if cache is None:
        return None
    try:
        answer = question(cache)
    except cache_errors() as error:
        if not _Health.is_failing:
            _Health.is_failing = True
            name = get_settings().lookup_cache
            logger.warning("The cache %r fails, so the database answers lookups until it is back: %r", name, error)
        return None
    if answer and _Health.is_failing:
        _Health.is_failing = False
        logger.info("The cache %r answers again.", get_settings().lookup_cache)
    return answer


def cache_errors() -> tuple[type[Exception], ...]:
    """Name what the drivers in use raise; one that is not imported raises nothing."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in DRIVER_ERRORS)
    return (OSError, *filter(None, found))
