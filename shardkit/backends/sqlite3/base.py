"""The engine of `default` where its database is Django's `sqlite3` backend."""

from __future__ import annotations

from shardkit.backends.connection import logical_wrapper

DatabaseWrapper = logical_wrapper("django.db.backends.sqlite3")
