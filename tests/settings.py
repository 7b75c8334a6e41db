"""The settings of testapp, with models made for tests and one plain database as the oracle."""

from __future__ import annotations

import os

os.environ["TESTAPP_ORACLE"] = "1"

from testapp.settings import *  # noqa: F403
from testapp.settings import DATABASE_ROUTERS as _ROUTERS
from testapp.settings import INSTALLED_APPS as _APPS
from testapp.settings import SHARDKIT

INSTALLED_APPS = [*_APPS, "tests.shop", "tests.nasty"]
DATABASE_ROUTERS = ["tests.oracle.OracleRouter", *_ROUTERS]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if SHARDKIT:
    SHARDKIT = {**SHARDKIT, "PLACEMENT": {"shop.Memo": "audit"}}
