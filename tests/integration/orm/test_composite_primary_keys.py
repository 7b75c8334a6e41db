"""Does a composite primary key that holds the shard key find its shard?"""

from __future__ import annotations

import pytest

from shardkit.routing.plan import Single
from tests.shop.models import Room

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("deployment")]


@pytest.fixture
def rooms(deployment: str) -> list[Room]:  # noqa: ARG001 - first the deployment, then its rows
    return [Room.objects.create(tenant=tenant, number=1, name="old") for tenant in range(6)]


def names() -> dict[tuple[int, int], str]:
    return {room.pk: room.name for room in Room.objects.filter(tenant__in=range(20))}


def test_a_row_is_found_by_its_primary_key(rooms):
    assert Room.objects.get(pk=(3, 1)) == rooms[3]
    assert rooms[:2] == sorted(Room.objects.filter(pk__in=[(0, 1), (1, 1), (9, 9)]), key=lambda room: room.pk)


def test_a_row_is_saved_refreshed_and_deleted(rooms):
    room = rooms[3]
    room.name = "new"
    room.save()
    Room(tenant=4, number=1, name="new").save()

    room.refresh_from_db()

    assert room.name == "new"
    assert {(tenant, 1): "new" if tenant in {3, 4} else "old" for tenant in range(6)} == names()
    assert room.delete() == (1, {"shop.Room": 1})
    assert (3, 1) not in names()


def test_many_rows_are_written_together(rooms):
    created = Room.objects.bulk_create([Room(tenant=tenant, number=2, name="b") for tenant in range(6)])
    for room in created:
        room.name = "c"

    assert Room.objects.bulk_update(created, ["name"]) == 6
    assert Room.objects.filter(tenant__in=[1, 2], number=2).update(name="d") == 2
    assert Room.objects.filter(pk__in=[room.pk for room in rooms]).delete() == (6, {"shop.Room": 6})
    assert {(tenant, 2): "d" if tenant in {1, 2} else "c" for tenant in range(6)} == names()


def test_update_or_create_finds_and_makes(rooms):
    assert rooms
    found, made = Room.objects.update_or_create(tenant=1, number=1, defaults={"name": "u"})
    other, made_other = Room.objects.update_or_create(tenant=1, number=9, defaults={"name": "u"})

    assert (found.pk, made, other.pk, made_other) == ((1, 1), False, (1, 9), True)


def test_one_shard_is_asked(deployment, rooms):
    if deployment == "sharded":
        plans = [Room.objects.filter(pk=room.pk).route() for room in rooms]

        assert [room._state.shard_alias for room in rooms] == [plan.alias for plan in plans if isinstance(plan, Single)]


def test_another_primary_key_is_another_row(rooms):
    room = rooms[0]
    room.tenant, room.name = 11, "copy"

    room.save()

    assert (names()[0, 1], names()[11, 1]) == ("old", "copy")
