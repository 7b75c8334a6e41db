"""Which store do the settings name, and can it keep what it is for?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.cache import BaseCache, caches
from django.utils.module_loading import import_string

from shardkit import conf
from shardkit.catalog.lookupcache import LEFT_ALONE
from shardkit.consistency.stores.caching import CacheStore
from shardkit.consistency.stores.cookies import CookieStore
from shardkit.consistency.stores.headers import HeaderStore
from shardkit.consistency.stores.protocol import Store

logger = logging.getLogger("shardkit.consistency")


def chosen_store() -> Store:
    """Return the store of ``SHARDKIT["STICKY_STORE"]``."""
    option = conf.get_settings().sticky["STORE"]
    match option:
        case "cookie":
            return CookieStore()
        case "header":
            return HeaderStore()
        case "cache":
            return _cache_store()
        case path:
            store: Store = import_string(path)()
            return store


def _cache_store() -> Store:
    """Return the store of the cache, and that of cookies where the cache would lose something without a word."""
    sticky = conf.get_settings().sticky
    # One made only to be looked at: `caches` would keep it, and let all requests of an ASGI server share its sockets.
    cache = caches.create_connection(sticky["CACHE"])
    why = _unfit(cache, settings.CACHES[sticky["CACHE"]]) or _keyless(sticky["KEY"])
    if why:
        logger.warning("Sessions are kept in cookies and not in the cache %r: %s", sticky["CACHE"], why)
        return CookieStore()
    return CacheStore()


def _unfit(cache: BaseCache, configured: dict[str, Any]) -> str:
    """Say why *cache* cannot keep tokens, if it cannot."""
    locations = configured.get("LOCATION", "")
    several = isinstance(locations, Sequence) and not isinstance(locations, str) and len(locations) > 1
    if isinstance(cache, LEFT_ALONE):
        return "other processes do not see it, or it does not count in one step. Use memcached or Redis."
    if type(cache).incr is BaseCache.incr:
        return "it does not count in one step. Use memcached or Redis."
    if "redis" in configured["BACKEND"].lower() and (several or any(mark in str(locations) for mark in ",;")):
        return "it is read from replicas, which may be behind. Name its first server alone in another entry of CACHES."
    return ""


def _keyless(key: str) -> str:
    if key in {"session", "user"} and settings.SESSION_ENGINE.endswith("signed_cookies"):
        return "a session that is a signed cookie has no key that stays. Set STICKY_KEY to a function of your own."
    return ""
