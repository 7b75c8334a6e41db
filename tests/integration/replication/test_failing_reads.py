"""What becomes of a read that a replica cannot answer? With replicas that really follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connections, models
from django.test.utils import isolate_apps

from shardkit.consistency.session import Session, current, session_scope
from shardkit.errors import NoFreshReplica, PrimaryReadsExceeded
from shardkit.models import PlacedModel
from shardkit.replication import health, monitor, readings
from shardkit.replication.selection import Need, choose
from shardkit.testing import RoutedReads, routed_reads
from shardkit.topology.names import Alias
from tests.fix_replicas import PRIMARY, REPLICAS, VENDOR, Family, Servers
from tests.waiting import wait_for

needs_servers = pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has no servers")


@pytest.fixture(autouse=True)
def _watched(settings: Any, family: Family) -> Iterator[None]:
    settings.SHARDKIT = {
        **settings.SHARDKIT,
        "REPLICAS": {PRIMARY: list(REPLICAS)},
        "REPLICA_INTERVAL": 0.05,
        "REPLICA_MAX_LAG": 600,
    }
    for alias in (PRIMARY, *REPLICAS):
        connections[alias].close()  # opened before the settings named replicas: now it is watched
    family.write()
    family.catch_up()
    with session_scope(Session()):
        monitor.watch(PRIMARY)
        wait_for(lambda: all((found := readings.latest(alias)) and found.behind is not None for alias in REPLICAS))
        yield
    monitor.stop()


@pytest.fixture
def thing() -> Iterator[Any]:
    """A model of the table that every test of real replicas finds."""
    with isolate_apps("tests.shop"):

        class Thing(PlacedModel):
            database = str(PRIMARY)
            id = models.IntegerField(primary_key=True)

            class Meta:
                app_label = "shop"
                db_table = "thing"

        yield Thing


def answered(found: RoutedReads) -> list[str]:
    return [alias for _, alias, _ in found.reads]


def keep(thing: Any) -> Alias:
    """Let the session read a replica, and return which."""
    with routed_reads() as found:
        list(thing.objects.all())
    (alias,) = answered(found)
    assert alias in REPLICAS
    return Alias(alias)


def change(family: Family, *statements: str) -> None:
    """Run *statements* on the primary, as somebody else."""
    with session_scope(Session()):
        for statement in statements:
            family.sql(PRIMARY, statement)


def migrate(family: Family, thing: Any, *, behind: tuple[int, ...]) -> None:
    """Add a column that the replicas *behind* do not get."""
    for which in behind:
        family.pause(which)
    change(family, "ALTER TABLE thing ADD COLUMN colour varchar(10)")
    for which in {0, 1} - set(behind):
        family.wait_until_has(family.position(), which)
    models.CharField(max_length=10, null=True).contribute_to_class(thing, "colour")


class TestAfterAMigration:
    """The new code asks replicas that have not come so far for columns and tables that they lack."""

    def test_the_primary_answers_for_replicas_that_lack_a_column(self, family: Family, thing: Any) -> None:
        migrate(family, thing, behind=(0, 1))

        with session_scope(Session()), routed_reads() as found:
            assert [None] == [one.colour for one in thing.objects.all()]
        assert [PRIMARY] == answered(found)
        assert [0, 0] == [health.banned_for(alias) for alias in REPLICAS]

    def test_another_replica_answers_that_has_it(self, family: Family, thing: Any) -> None:
        migrate(family, thing, behind=(0,))

        for _ in range(8):
            with session_scope(Session()), routed_reads() as found:
                assert [None] == [one.colour for one in thing.objects.all()]
            assert [REPLICAS[1]] == answered(found)

    def test_who_reads_a_replica_goes_on_with_it_for_all_that_it_has(self, family: Family, thing: Any) -> None:
        replica = keep(thing)
        migrate(family, thing, behind=(0, 1))
        with routed_reads() as found:
            list(thing.objects.all())
        assert [(PRIMARY, PRIMARY, f"{replica} cannot answer: it lacks a table or a column")] == found.reads
        assert replica == current().vector().entries[PRIMARY].replica

        for which in (0, 1):
            family.resume(which)
        family.catch_up()

        wait_for(lambda: isinstance(need := current().need(PRIMARY), Need) and choose(PRIMARY, need).alias == replica)
        with routed_reads() as found:
            assert [None] == [one.colour for one in thing.objects.all()]
        assert [replica] == answered(found)

    def test_a_table_may_be_missing_too(self, family: Family) -> None:
        for which in (0, 1):
            family.pause(which)
        change(family, "DROP TABLE IF EXISTS later", "CREATE TABLE later (id int)")
        with isolate_apps("tests.shop"):

            class Later(PlacedModel):
                database = str(PRIMARY)
                id = models.IntegerField(primary_key=True)

                class Meta:
                    app_label = "shop"
                    db_table = "later"

            with session_scope(Session()), routed_reads() as found:
                assert not list(Later.objects.all())
        assert [PRIMARY] == answered(found)
        change(family, "DROP TABLE later")

    @pytest.mark.parametrize("when_stale", ["primary", "wait", "raise"])
    @pytest.mark.parametrize("is_kept", [True, False])
    def test_what_no_database_has_is_the_callers_error(self, thing: Any, when_stale: str, *, is_kept: bool) -> None:
        if is_kept:
            keep(thing)
        models.IntegerField(null=True).contribute_to_class(thing, "absent")

        with pytest.raises(DatabaseError, match="absent") as raised:
            list(thing.objects.replica(when_stale=when_stale))
        assert not isinstance(raised.value, NoFreshReplica)
        assert [0, 0] == [health.banned_for(alias) for alias in REPLICAS]


class Next(models.IntegerField):  # type: ignore[type-arg]
    """A column that is the next number of a sequence."""

    def select_format(self, *_: Any) -> tuple[str, tuple[()]]:
        return ("nextval('numbers')" if VENDOR == "postgresql" else "nextval(numbers)"), ()


@pytest.mark.skipif(VENDOR != "postgresql", reason="other drivers hold all rows")
class TestRowsThatComeLater:
    """A replica may be lost while `iterator()` reads from a cursor on its server."""

    COUNT = 1000

    @pytest.fixture
    def things(self, servers: Servers, thing: Any) -> Any:
        change(servers, "DELETE FROM thing", f"INSERT INTO thing SELECT generate_series(1, {self.COUNT})")
        servers.catch_up()
        return thing.objects.order_by("id")

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_one_that_is_lost_before_the_first_row_loses_none(
        self, servers: Servers, things: Any, *, is_kept: bool
    ) -> None:
        if is_kept:
            keep(things.model)

        def ended(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
            result = execute(sql, params, many, context)
            end_all(servers, context["connection"].alias)
            return result

        first, second = (connections[alias].execute_wrapper(ended) for alias in REPLICAS)
        with first, second, routed_reads() as found:
            rows = list(things.iterator(chunk_size=100))

        assert list(range(1, self.COUNT + 1)) == [row.id for row in rows]
        assert [PRIMARY] == answered(found)
        assert any(health.banned_for(alias) for alias in REPLICAS)

    def test_one_that_is_lost_between_rows_is_the_callers_error_and_is_left(
        self, servers: Servers, things: Any
    ) -> None:
        with routed_reads() as found:
            rows = iter(things.iterator(chunk_size=100))
            assert 1 == next(rows).id
        (replica,) = answered(found)
        assert replica == current().vector().entries[PRIMARY].replica
        end_all(servers, replica)

        with pytest.raises(OperationalError):
            list(rows)
        assert health.banned_for(Alias(replica))
        assert "" == current().vector().entries[PRIMARY].replica
        with routed_reads() as found:
            assert self.COUNT == len(list(things.iterator(chunk_size=100)))
        assert replica not in answered(found)

    def test_rows_that_nobody_takes_give_their_place_back(self, settings: Any, things: Any) -> None:
        settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_PRIMARY_CAP": 1}
        for _ in range(3):
            for alias in REPLICAS:
                health.failed(alias, "gone")
            rows = iter(things.iterator(chunk_size=100))
            next(rows)
            with session_scope(Session()), pytest.raises(PrimaryReadsExceeded):
                list(things)
            del rows


def end_all(servers: Servers, alias: str) -> None:
    """End all connections to a replica."""
    servers.machine(REPLICAS.index(Alias(alias))).ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


@needs_servers
class TestReadsThatWrite:
    """A standby runs no function that writes, such as one that takes the next number of a sequence."""

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_the_primary_runs_what_a_replica_refuses_to_run(
        self, servers: Servers, thing: Any, *, is_kept: bool
    ) -> None:
        change(servers, "DROP SEQUENCE IF EXISTS numbers", "CREATE SEQUENCE numbers")
        servers.catch_up()
        replica = keep(thing) if is_kept else None
        Next().contribute_to_class(thing, "number")

        with routed_reads() as found:
            assert [1] == [one.number for one in thing.objects.all()]
        assert [PRIMARY] == answered(found)
        assert [0, 0] == [health.banned_for(alias) for alias in REPLICAS]
        if is_kept:
            assert replica == current().vector().entries[PRIMARY].replica
        change(servers, "DROP SEQUENCE numbers")
