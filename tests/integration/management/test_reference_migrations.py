"""Do the copies of a reference model stay equal when migrations fill them, on all databases and in turn?"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.any_vendor

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
import uuid
from django.db import models
from shardkit.models import ReferenceModel, ShardedModel

class Plan(ReferenceModel):
    name = models.CharField(max_length=9, unique=True)
    token = models.UUIDField(default=uuid.uuid4)
    made = models.DateTimeField(auto_now_add=True)

class Customer(ShardedModel):
    shard_key = "id"
    plan = models.ForeignKey(Plan, models.PROTECT)
"""
FILLS = """
from pathlib import Path
from django.db import migrations

def fill(apps, schema_editor):
    Plan = apps.get_model("shop", "Plan")
    Plan.objects.create(name="free")
    if schema_editor.connection.alias == "default" and Path("broken").exists():
        raise ValueError("The code of the migration is wrong.")
    Plan.objects.bulk_create([Plan(name="basic"), Plan(name="pro")])
    for plan in Plan.objects.filter(name="basic"):
        plan.name = "plus"
        plan.save()

def empty(apps, schema_editor):
    Plan = apps.get_model("shop", "Plan")
    Plan.objects.filter(name="free").update(name="gratis")

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(fill, empty, hints={"model_name": "plan"})]
"""
PLANS = [(1, "free"), (2, "plus"), (3, "pro")]
DATABASES = ("default", "shard_0", "shard_1", "shard_2", "shard_3")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose second migration fills a reference model, before any database is migrated."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    run(tmp_path, "makemigrations", "shop")
    (tmp_path / "shop" / "migrations" / "0002_fill.py").write_text(FILLS)
    return tmp_path


def run(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TESTAPP_", "DATABASE_", "SHARD"))
    }
    env = {**kept, **variables, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "django", *arguments]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)


def plans(project: Path, columns: str = "id, name") -> list[list[Any]]:
    """Return the rows of the copy of each database."""
    query = f"SELECT {columns} FROM shop_plan ORDER BY id"  # noqa: S608
    return [ask(project / ".shardkit" / f"{alias}.sqlite3", query) for alias in DATABASES]


def ask(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql).fetchall()


def test_a_fresh_cluster_gets_equal_copies_with_what_each_database_makes_up(project):
    ended = run(project, "migrate_shards")

    assert ended.returncode == 0, ended.stderr
    assert [PLANS] * 5 == plans(project)
    whole = plans(project, "*")
    assert [whole[0]] * 5 == whole
    assert run(project, "shards", "copies").returncode == 0


def test_what_fails_on_default_changes_no_copy_and_is_repeated_when_it_is_repaired(project):
    (project / "broken").touch()
    failed = run(project, "migrate_shards")
    before = plans(project)
    (project / "broken").unlink()
    repeated = run(project, "migrate_shards")

    assert "default: ValueError: The code of the migration is wrong." in failed.stderr
    assert "shard_2: CopiesWouldDiffer: The migration of 'shard_2' writes shop.Plan" in failed.stderr
    assert [[]] * 5 == before
    assert repeated.returncode == 0, repeated.stderr
    assert [PLANS] * 5 == plans(project)


def test_a_shard_waits_for_default(project):
    run(project, "migrate_shards", "shop", "0001")

    ended = run(project, "migrate", "--database=shard_1")

    assert ended.returncode == 1
    assert "Let it run there first" in ended.stderr.splitlines()[-1]
    assert [[]] * 5 == plans(project)


def test_it_is_taken_back_everywhere(project):
    run(project, "migrate_shards")

    alone = run(project, "migrate", "shop", "0001", "--database=shard_1")
    together = run(project, "migrate_shards", "shop", "0001")

    assert "Let it run there first" in alone.stderr.splitlines()[-1]
    assert together.returncode == 0, together.stderr
    assert [[(1, "gratis"), *PLANS[1:]]] * 5 == plans(project)


def test_a_shard_that_is_added_later_is_given_its_copies(project):
    before = {"DATABASE_URL": "sqlite:///default", "SHARD_0_URL": "sqlite:///shard_0"}
    after = {**before, "SHARD_1_URL": "sqlite:///shard_1"}
    run(project, "migrate_shards", **before)
    for name in ("default", "shard_0"):
        ask(project / name, "UPDATE shop_plan SET name = 'gratis' WHERE name = 'free'")
        ask(project / name, "INSERT INTO shop_plan SELECT 9, 'team', token, made FROM shop_plan WHERE id = 1")

    ended = run(project, "migrate_shards", **after)

    assert ended.returncode == 0, ended.stderr
    whole = [ask(project / name, "SELECT * FROM shop_plan ORDER BY id") for name in ("default", "shard_0", "shard_1")]
    assert [1, 2, 3, 9] == [row[0] for row in whole[0]]
    assert [whole[0]] * 3 == whole
