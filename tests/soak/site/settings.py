"""Which databases does the site of a run have? Those that a file describes; the rest is testapp."""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ["TESTAPP_VENDOR"] = "sqlite"  # what testapp would use by itself is replaced below
os.environ.setdefault("SHARDKIT_HOME", str(Path(os.environ["SOAK_CONFIG"]).parent / "unused"))

from testapp.settings import *  # noqa: F403

_config = json.loads(Path(os.environ["SOAK_CONFIG"]).read_text())
DATABASES = _config["DATABASES"]
SHARDKIT = _config["SHARDKIT"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, **_config["CACHES"]}
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.soak.site.urls"
# What testapp puts around a view of its own is left out: it has nothing to do with databases, and takes time.
MIDDLEWARE = os.environ.get("SOAK_MIDDLEWARE", "tests.soak.site.stores.by_client").split()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
for _entry in DATABASES.values():
    _entry["CONN_MAX_AGE"] = int(os.environ["SOAK_CONN_MAX_AGE"]) if os.environ.get("SOAK_CONN_MAX_AGE") else None
    _entry["CONN_HEALTH_CHECKS"] = True
