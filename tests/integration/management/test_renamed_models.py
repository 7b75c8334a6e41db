"""Does a model that was renamed get its table on the right databases when a fresh cluster is migrated?"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

SETTINGS = """
import environ, shardkit
DATABASES, SHARDKIT = shardkit.from_env(environ.Env())
DATABASE_ROUTERS = ["shardkit.routers.ShardRouter"]
INSTALLED_APPS = ["shardkit", "shop"]
SECRET_KEY = "x"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
MODELS = """
from django.db import models
from shardkit.models import ShardedModel

class {name}(ShardedModel):
    shard_key = "region"
    region = models.IntegerField()

class Note(models.Model):
    text = models.CharField(max_length=5)
"""
RENAMES = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("shop", "{before}")]
    operations = [migrations.RenameModel("{old}", "{new}")]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose sharded model has been renamed twice."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS.format(name="Patron"))
    run(tmp_path, "makemigrations", "shop")
    migrations = tmp_path / "shop" / "migrations"
    (migrations / "0002_client.py").write_text(RENAMES.format(before="0001_initial", old="Patron", new="Client"))
    (migrations / "0003_customer.py").write_text(RENAMES.format(before="0002_client", old="Client", new="Customer"))
    (tmp_path / "shop" / "models.py").write_text(MODELS.format(name="Customer"))
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TESTAPP_", "DATABASE_", "SHARD"))
    }
    env = {**kept, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "django", *arguments]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tables(project: Path, alias: str) -> set[str]:
    with closing(sqlite3.connect(project / ".shardkit" / f"{alias}.sqlite3")) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'shop%'").fetchall()
    return {name for (name,) in rows}


def test_its_table_is_made_where_todays_model_lives(project: Path):
    run(project, "migrate_shards")

    assert {"shop_customer"} == tables(project, "shard_0") == tables(project, "shard_3")
    assert {"shop_note"} == tables(project, "default")
    assert "No changes" in run(project, "makemigrations", "--check", "--dry-run")
