"""What do the test runners of Django and of pytest make of replicas that a project wrote into its settings?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.any_vendor

#: What would tell the project which databases it has, or pytest how to run.
OURS: Final = ("TESTAPP_", "DATABASE_", "SHARD", "DJANGO_", "PYTEST_", "COVERAGE_")
SETTINGS: Final = """
DATABASES = {
    "default": {"ENGINE": "shardkit.backends.sqlite3", "NAME": "home.sqlite3"},
    "copy": {"ENGINE": "django.db.backends.sqlite3", "NAME": "copy.sqlite3"},
    "shard_0": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shard_0.sqlite3"},
    "shard_0_copy": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shard_0_copy.sqlite3"},
}
SHARDKIT = {
    "SHARDS": {"shard_0": {"primary": "shard_0", "replicas": ["shard_0_copy"]}},
    "REPLICAS": {"default": ["copy"]},
    "REPLICA_INTERVAL": 0.02,
}
DATABASE_ROUTERS = ["shardkit.routers.ShardRouter"]
SECRET_KEY = "secret"
INSTALLED_APPS = ["django.contrib.contenttypes", "shardkit", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIDDLEWARE = ["shardkit.middleware.StickyPrimaryMiddleware"]
"""
MODELS: Final = """
from django.db import models
from shardkit.models import ShardedModel

class Customer(ShardedModel):
    name = models.CharField(max_length=50)
    shard_key = "id"

class Note(models.Model):
    text = models.CharField(max_length=50)
"""
#: Reads and writes for as long as somebody who looks from another thread needs to be in the way.
TESTS: Final = """
import time
from django.db import connections, transaction
from django.test import TransactionTestCase
from shop.models import Customer, Note

class Tests(TransactionTestCase):
    databases = "__all__"

    def test_replicas_are_their_primaries(self):
        for replica, primary in {"copy": "default", "shard_0_copy": "shard_0"}.items():
            names = [connections[alias].settings_dict["NAME"] for alias in (replica, primary)]
            self.assertEqual(*names)
            self.assertIn("memory", names[0])

    def test_primaries_answer_and_nobody_is_in_the_way(self):
        for number in range(250):
            note = Note.objects.create(text=str(number))
            self.assertEqual(str(number), Note.objects.get(pk=note.pk).text)
            with transaction.atomic():
                customer = Customer.objects.create(name=str(number))
                list(Note.objects.all())
            self.assertEqual(customer, Customer.objects.get(pk=customer.pk))
            time.sleep(0.003)
        self.assertIn("it is in memory", str(Customer.objects.filter(pk=customer.pk).route()))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"settings.py": SETTINGS, "shop/__init__.py": "", "shop/models.py": MODELS, "shop/tests.py": TESTS}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(project: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": f"{Path(__file__).parents[3]}:{project}"}
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_the_runner_of_django_makes_a_database_for_each_primary_and_none_for_a_replica(project: Path) -> None:
    told = run(project, "django", "test", "shop", "--verbosity=2")

    assert "Creating test database for alias 'shard_0'" in told
    assert "Creating test database for alias 'shard_0_copy'" not in told
    assert "Creating test database for alias 'copy'" not in told
    assert [] == list(project.glob("*.sqlite3"))


def test_pytest_does_the_same(project: Path) -> None:
    run(project, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "addopts=", "shop/tests.py")

    assert [] == list(project.glob("*.sqlite3"))
