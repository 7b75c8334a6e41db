"""An embedded cluster of SQLite files, whatever vendor this run is about, used through manage.py as people do."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

#: What would make the settings describe another cluster.
OTHER_CLUSTERS = ("TESTAPP_", "DATABASE_", "SHARD", "DJANGO_SETTINGS_MODULE")


@dataclass(frozen=True)
class Embedded:
    """The files in one directory, and the commands that work on them."""

    home: Path
    #: What the environment says beside the directory.
    variables: Mapping[str, str] = field(default_factory=dict)

    def file(self, alias: str) -> Path:
        return self.home / f"{alias}.sqlite3"

    def sql(self, alias: str, statement: str) -> list[Any]:
        """Ask one file behind Django's back."""
        with closing(sqlite3.connect(self.file(alias), isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a management command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            env=self.environment,
            cwd=Path(__file__).parents[1],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OTHER_CLUSTERS)}
        ours = {"SHARDKIT_HOME": str(self.home), "DJANGO_SETTINGS_MODULE": "testapp.settings"}
        return {**kept, **self.variables, **ours}

    def json(self, *arguments: str) -> Any:
        """Run a command that writes JSON, and read it."""
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def embedded(tmp_path: Path) -> Embedded:
    """A cluster without a single table."""
    home = tmp_path / "home"
    home.mkdir()
    return Embedded(home)


@pytest.fixture(scope="session")
def migrated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that was migrated once, to be copied."""
    cluster = Embedded(tmp_path_factory.mktemp("migrated"))
    ended = cluster.run("migrate_shards", "--verbosity=0")
    assert ended.returncode == 0, ended.stderr
    return cluster.home


@pytest.fixture
def migrated(migrated_home: Path, tmp_path: Path) -> Iterator[Embedded]:
    """A cluster with all its tables, and no rows."""
    home = tmp_path / "home"
    shutil.copytree(migrated_home, home)
    yield Embedded(home)
    shutil.rmtree(home)
