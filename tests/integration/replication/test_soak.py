"""Do soak runs find what they look for? A rule that reads any replica, whoever wrote, has to be found out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VENDOR = os.environ.get("TESTAPP_VENDOR", "sqlite")


@pytest.mark.skipif(VENDOR == "sqlite", reason="runs on PostgreSQL and MariaDB, whose replicas are servers")
def test_users_miss_what_they_wrote_when_any_replica_is_read() -> None:
    words = [
        "--vendor",
        VENDOR,
        "--seconds",
        "15",
        "--users",
        "6",
        "--writers",
        "1",
        "--lag",
        "5",
        "--rules",
        "timer:0",
    ]

    ran = subprocess.run(
        [sys.executable, "-m", "tests.soak", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    rules = json.loads(ran.stdout.splitlines()[-1])["rules"]
    assert 1 == ran.returncode
    assert rules["timer:0"]["violations: read your writes"] > 0
