"""Do models whose keys a directory places live where it says, whatever caches it?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from shardkit.catalog import lookups
from shardkit.errors import ShardKeyNotCovered
from shardkit.routing import owners
from shardkit.routing.plan import Single
from shardkit.topology.names import BucketId
from tests.servers.caches import MEMCACHED, REDIS
from tests.shop.models import Booth, Stand

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(params=["memory", "memcached", "redis"])
def cache(request) -> Iterator[None]:
    """Keep directories in each kind of cache in turn."""
    match request.param:
        case "memory":
            config = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
        case "memcached":
            location = request.getfixturevalue("memcached")
            config = {"BACKEND": MEMCACHED, "LOCATION": location}
        case _:
            location = request.getfixturevalue("redis_server")
            config = {"BACKEND": REDIS, "LOCATION": location}
    with override_settings(CACHES={"default": config}):
        caches["default"].clear()
        yield


def places_of(booth: Booth) -> list[str]:
    """List the databases that hold the row of *booth*."""
    return [alias for alias in owners.all_aliases() if Booth._base_manager.using(alias).filter(number=booth.number)]


def shard_of(market: int) -> str:
    plan = Stand.objects.filter(market=market).route()
    assert isinstance(plan, Single)
    return plan.alias


@pytest.mark.usefixtures("cache")
def test_a_new_key_is_recorded_and_its_rows_stay_together():
    booths = [Booth.objects.create(fair=f"fair {number % 3}", number=number) for number in range(9)]

    for booth in booths:
        assert places_of(booth) == [booth.shard]
        assert Booth.objects.get(fair=booth.fair, number=booth.number) == booth
        assert lookups.find("fairs", (booth.fair,)) is not None
    assert len({booth.shard for booth in booths if booth.fair == "fair 0"}) == 1


@pytest.mark.usefixtures("cache")
def test_a_key_that_was_assigned_is_followed():
    wanted = owners.all_aliases()[2]
    bucket = BucketId(owners.owners().index(wanted))

    lookups.assign("markets", (7,), bucket)
    stand = Stand.objects.create(market=7, name="fish")

    assert str(stand.shard) == wanted
    assert Stand.objects.get(market=7) == stand


@pytest.mark.usefixtures("cache")
def test_a_key_that_moved_is_asked_for_in_its_new_place_at_once():
    here, there = (BucketId(owners.owners().index(alias)) for alias in owners.all_aliases()[:2])
    lookups.assign("markets", (8,), here)
    assert shard_of(8) == owners.all_aliases()[0]

    lookups.move("markets", (8,), there)

    assert shard_of(8) == owners.all_aliases()[1]


def test_a_key_that_nobody_assigned_is_refused_on_writing_and_finds_nothing_on_reading():
    with pytest.raises(ShardKeyNotCovered, match=r"shop\.Stand.*market.*assign"), transaction.atomic():
        Stand.objects.create(market=99, name="none")

    assert not Stand.objects.filter(market=99).exists()
    assert not any(Stand._base_manager.using(alias).exists() for alias in owners.all_aliases())


@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.usefixtures("cache")
def test_what_a_flush_forgets_is_forgotten_by_the_cache():
    lookups.assign("markets", (9,), BucketId(0))
    assert lookups.find("markets", (9,)) == lookups.find("markets", (9,)) == 0

    call_command("flush", database="default", interactive=False, verbosity=0)

    assert lookups.find("markets", (9,)) is None
