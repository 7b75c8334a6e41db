"""Are the settings read once, completely, and again when a test overrides them?"""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from django.test import override_settings
from django.utils.module_loading import import_string

from shardkit.conf import current_problems, get_settings, settings_reset
from shardkit.conf.problems import ROUTER
from shardkit.conf.settings import Settings, read_settings
from shardkit.errors import SettingsInvalid
from shardkit.topology.names import Alias, ShardId
from shardkit.topology.nodes import Shard


def test_nothing_means_one_plain_database():
    assert read_settings({}, active=False) == Settings()
    assert not Settings().active
    assert Settings().placed_aliases == frozenset()


def test_a_list_of_aliases_names_each_shard_after_its_alias():
    settings = read_settings({"SHARDS": ["one", "two"]})

    assert settings.active
    assert settings.topology.primaries == ("one", "two")
    assert settings.topology.shard(ShardId("two")).primary == "two"


def test_shards_may_have_names_and_replicas():
    settings = read_settings({"SHARDS": {"eu": "one", "us": {"primary": "two", "replicas": ["copy"]}}})

    assert settings.topology.shards == (
        Shard(name=ShardId("eu"), primary=Alias("one")),
        Shard(name=ShardId("us"), primary=Alias("two"), replicas=(Alias("copy"),)),
    )
    assert settings.replicas == {"two": ("copy",)}
    assert settings.replica_aliases == {"copy"}


def test_placement_is_read_without_regard_to_case():
    settings = read_settings({"PLACEMENT": {"AuditLog": "audit", "blog.Post": "blog"}})

    assert settings.placement == {"auditlog": "audit", "blog.post": "blog"}
    assert settings.placed_aliases == {"audit", "blog"}
    assert settings.active


def test_the_numbers_have_defaults_and_can_be_set():
    assert (Settings().buckets, Settings().id_block, Settings().lookup_cache) == (1024, 1000, "default")

    settings = read_settings({"BUCKETS": 64, "ID_BLOCK": 10, "LOOKUP_CACHE": "redis", "MIGRATE_WORKERS": 2})

    assert (settings.buckets, settings.id_block, settings.lookup_cache) == (64, 10, "redis")
    assert settings.migrate_workers == 2


def test_what_is_said_of_all_primaries_can_be_said_of_each():
    plain = read_settings({"REPLICA_MAX_LAG": 5, "REPLICA_WHEN_STALE": "wait"})
    assert ((5, {}), ("wait", {})) == ((plain.max_lag, plain.max_lags), (plain.when_stale, plain.when_stales))

    found = read_settings(
        {
            "REPLICA_MAX_LAG": {"one": 5, "*": 60},
            "REPLICA_WHEN_STALE": {"one": "wait", "*": "raise"},
            "REPLICA_WAIT": {"one": 2},
        }
    )
    assert (60, {"one": 5}) == (found.max_lag, found.max_lags)
    assert ("raise", {"one": "wait"}) == (found.when_stale, found.when_stales)
    assert (0.5, {"one": 2}) == (found.stale_wait, found.stale_waits)


@pytest.mark.parametrize("raw", [{"BUCKETS": 5000}, {"SHARDS": "one"}, {"PLACEMENT": {"a": "x", "A": "y"}}, [1]])
def test_settings_that_nothing_can_go_on_with_are_an_error_that_says_what_to_do(raw: Any):
    with pytest.raises(SettingsInvalid) as caught:
        read_settings(raw)

    assert caught.value.check_id.startswith("shardkit.E0")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301  (our own bytes)


def test_overriding_a_setting_reads_it_again_and_clears_what_depends_on_it():
    resets: list[int] = []
    settings_reset.append(lambda: resets.append(1))
    try:
        with override_settings(SHARDKIT={"SHARDS": ["one"]}):
            inside = get_settings().topology.primaries
            assert get_settings() is get_settings()
        outside = get_settings().topology.primaries
    finally:
        settings_reset.pop()

    assert inside == ("one",)
    assert outside != ("one",)
    assert len(resets) == 2


def test_overriding_another_setting_keeps_what_was_read():
    before = get_settings()

    with override_settings(LANGUAGE_CODE="nl"):
        assert get_settings() is before


@pytest.mark.parametrize("inherited", [False, True])
def test_a_router_that_inherits_ours_counts_as_ours(inherited):
    ours = import_string(ROUTER)
    router = type("OwnRouter", (ours,), {})() if inherited else ROUTER

    with override_settings(DATABASE_ROUTERS=[router], SHARDKIT={"SHARDS": ["nowhere"]}):
        found = [problem.id for problem in current_problems()]

    assert "shardkit.E021" not in found
    assert "shardkit.E010" in found


def test_shardkit_set_to_none_is_no_shardkit():
    with override_settings(SHARDKIT=None):
        assert get_settings() == Settings(active=True)
        assert current_problems() == []
