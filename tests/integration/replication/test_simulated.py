"""Where does a read go, as replicas fall behind, fail and catch up? With replicas whose lag the test sets."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import User
from django.db import connections, models, transaction
from django.test import TestCase
from django.utils import timezone

from shardkit import use_primary
from shardkit.catalog import idranges
from shardkit.catalog.store import reset_map
from shardkit.consistency.reading import Reading
from shardkit.consistency.session import Session, session_scope
from shardkit.consistency.vectors import UNKNOWN, Entry, Vector
from shardkit.errors import NoFreshReplica, PrimaryReadsExceeded, ReplicaIsReadOnly
from shardkit.models import ReplicaManager
from shardkit.testing import SimulatedReplicas, assert_reads, routed_reads, simulated_replicas
from shardkit.topology.names import Alias
from tests.shop.models import Booth, Country, Customer, Order

SHARDS = ("shard_0", "shard_1", "shard_2", "shard_3")

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def replicas() -> Iterator[SimulatedReplicas]:
    with simulated_replicas({"default": 1, **dict.fromkeys(SHARDS, 2)}) as replicas:
        yield replicas


@pytest.fixture
def customer(replicas: SimulatedReplicas) -> Customer:  # noqa: ARG001 - they are there first
    with session_scope(Session()):
        return Customer.objects.create(name="Ada", email="ada@example.org")


@pytest.fixture
def shard(customer: Customer) -> str:
    return str(customer.shard)


def test_a_read_of_one_shard_goes_to_a_replica(customer: Customer, shard: str) -> None:
    with assert_reads(**{shard: "replica"}):
        assert customer == Customer.objects.get(pk=customer.pk)


def test_a_row_from_a_replica_is_a_row_of_the_logical_database(customer: Customer, shard: str) -> None:
    found = Customer.objects.get(pk=customer.pk)

    assert ("default", shard) == (found._state.db, str(found.shard))


@pytest.mark.usefixtures("replicas")
def test_a_global_model_is_read_from_a_replica_of_default() -> None:
    with assert_reads(default="replica"):
        assert not User.objects.filter(username="nobody").exists()


@pytest.mark.usefixtures("replicas")
def test_a_fan_out_reads_a_replica_of_each_shard() -> None:
    with assert_reads(**dict.fromkeys(SHARDS, "replica")):
        list(Customer.objects.order_by("name"))
    with assert_reads(**dict.fromkeys(SHARDS, "replica")):
        list(Customer.objects.values("name").annotate(n=models.Count("pk")))
    with assert_reads(**dict.fromkeys(SHARDS, "replica")):
        list(Order.objects.values("product__name").annotate(n=models.Count("pk")))


def test_what_was_written_is_read_from_the_primary_until_the_replicas_have_it(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.pause(shard)
    Customer.objects.filter(pk=customer.pk).update(name="Grace")

    with assert_reads(**{shard: "primary"}):
        assert "Grace" == Customer.objects.get(pk=customer.pk).name
    replicas.resume(shard)
    with assert_reads(**{shard: "replica"}):
        assert "Grace" == Customer.objects.get(pk=customer.pk).name


def test_writing_one_shard_leaves_the_others_to_their_replicas(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    for name in SHARDS:
        replicas.pause(name)
    Customer.objects.filter(pk=customer.pk).update(name="Grace")

    with assert_reads(**{name: "primary" if name == shard else "replica" for name in SHARDS}):
        list(Customer.objects.order_by("name"))


def test_raw_sql_is_a_write_too(replicas: SimulatedReplicas, customer: Customer, shard: str) -> None:
    replicas.pause(shard)
    with connections[shard].cursor() as cursor:
        cursor.execute("UPDATE shop_customer SET score = 7")

    with assert_reads(**{shard: "primary"}):
        assert 7 == Customer.objects.get(pk=customer.pk).score


def test_a_transaction_reads_the_primary_and_what_it_wrote_counts_when_it_has_committed(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    with transaction.atomic(), assert_reads(**{shard: "primary"}):
        assert customer == Customer.objects.get(pk=customer.pk)
    with assert_reads(**{shard: "replica"}):
        assert customer == Customer.objects.get(pk=customer.pk)
    with transaction.atomic():
        Customer.objects.filter(pk=customer.pk).update(score=1)
        replicas.pause(shard)
    with assert_reads(**{shard: "primary"}):
        assert 1 == Customer.objects.get(pk=customer.pk).score


def test_a_locking_read_and_what_precedes_a_write_go_to_the_primary(customer: Customer) -> None:
    with session_scope(Session()), routed_reads() as found:
        with transaction.atomic():
            list(Customer.objects.select_for_update().filter(pk=customer.pk))
        Customer.objects.get_or_create(pk=customer.pk, defaults={"name": "Ada"})
        customer.delete()
    assert not [alias for _, alias, _ in found.reads if "replica" in alias]


def test_whoever_names_a_database_reads_it(customer: Customer, shard: str) -> None:
    with routed_reads() as found:
        assert customer == Customer.objects.using(shard).get(pk=customer.pk)
        assert not User.objects.using("default").filter(username="nobody").exists()
    assert [] == found.reads


def test_primary_and_use_primary_read_the_primary(customer: Customer, shard: str) -> None:
    with assert_reads(**{shard: "primary"}):
        assert customer == Customer.objects.primary().get(pk=customer.pk)
    with use_primary(), assert_reads(**{shard: "primary"}):
        assert customer == Customer.objects.get(pk=customer.pk)
    with session_scope(Session()), assert_reads(**{shard: "replica"}):
        assert customer == Customer.objects.get(pk=customer.pk)


def test_what_was_seen_on_the_primary_is_not_gone_again(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.set_lag(shard, 5)
    Customer.objects.primary().get(pk=customer.pk)

    with assert_reads(**{shard: "primary"}):
        Customer.objects.get(pk=customer.pk)


@pytest.mark.parametrize(
    "read",
    [
        lambda pk: Customer.objects.get(pk=pk),
        lambda _: list(Customer.objects.order_by("name")),
        lambda _: list(Customer.objects.values("name").annotate(n=models.Count("pk"))),
        lambda _: list(Order.objects.values("product__name").annotate(n=models.Count("pk"))),
        lambda _: list(Customer.objects.order_by("pk").iterator(chunk_size=1)),
    ],
    ids=["one", "rows", "groups", "gather", "iterator"],
)
def test_who_has_only_read_goes_on_reading_replicas_that_are_behind(
    replicas: SimulatedReplicas, customer: Customer, shard: str, read: Any
) -> None:
    """What a replica has shown, no other one has to show, and the primary has shown nothing."""
    for name in SHARDS:
        replicas.set_lag(name, 10)
    session = Session()
    with session_scope(session), assert_reads(**{shard: f"{shard}_replica_1"}):
        for _ in range(3):
            read(customer.pk)

    entry = session.vector().entries[Alias(shard)]
    assert (None, f"{shard}_replica_1") == (entry.required, entry.replica)


def test_a_global_model_is_read_from_its_replica_however_often(replicas: SimulatedReplicas) -> None:
    replicas.set_lag("default", 10)
    with session_scope(Session()), assert_reads(default="replica"):
        for _ in range(3):
            assert not User.objects.filter(username="nobody").exists()


def test_what_a_session_saw_on_a_replica_it_does_not_miss_on_one_that_is_further_behind(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.set_lag(f"{shard}_replica_1", 5)
    replicas.set_lag(f"{shard}_replica_2", 10)
    with session_scope(Session()):
        Customer.objects.get(pk=customer.pk)
        replicas.lose(f"{shard}_replica_1")
        with assert_reads(**{shard: "primary"}):
            Customer.objects.get(pk=customer.pk)
            Customer.objects.get(pk=customer.pk)


def test_statements_of_the_callers_on_the_primary_are_seen_there_as_before(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.set_lag(shard, 5)
    Customer.objects.get(pk=customer.pk)
    with connections[shard].cursor() as cursor:
        cursor.execute("SELECT 1")

    with assert_reads(**{shard: "primary"}):
        Customer.objects.get(pk=customer.pk)


def test_what_reads_a_simulated_replica_runs_in_the_tests_transaction_and_is_counted_there(
    customer: Customer, shard: str, django_assert_num_queries: Any
) -> None:
    Customer.objects.filter(pk=customer.pk).update(name="Grace")
    with (
        session_scope(Session()),
        assert_reads(**{shard: "replica"}),
        django_assert_num_queries(1, connection=connections[shard]),
    ):
        assert "Grace" == Customer.objects.get(pk=customer.pk).name


def test_two_iterators_on_one_simulated_replica_do_not_meet(customer: Customer, shard: str) -> None:
    def rows() -> Iterator[Customer]:
        return Customer.objects.filter(pk=customer.pk).iterator()

    with session_scope(Session()), assert_reads(**{shard: "replica"}):
        assert [(customer, customer)] == list(zip(rows(), rows(), strict=True))


def test_max_lag_bounds_how_old_an_answer_is(replicas: SimulatedReplicas, customer: Customer, shard: str) -> None:
    replicas.set_lag(shard, 4)

    with session_scope(Session()), assert_reads(**{shard: "replica"}):
        Customer.objects.replica(max_lag=10).get(pk=customer.pk)
    with session_scope(Session()), assert_reads(**{shard: "primary"}) as found:
        Customer.objects.replica(max_lag=1).get(pk=customer.pk)
    assert "lag 4.0 s > 1 s" == found.reads[0][2]
    replicas.set_lag(shard, 40)
    with session_scope(Session()), assert_reads(**{shard: "primary"}):
        Customer.objects.replica(max_lag=100).get(pk=customer.pk)


def test_when_nothing_is_fresh_enough_the_read_can_refuse_or_wait(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.set_lag(shard, 4)
    with pytest.raises(NoFreshReplica, match=r"lag 4\.0 s > 1 s"):
        Customer.objects.replica(max_lag=1, when_stale="raise").get(pk=customer.pk)
    replicas.set_lag(shard, 0.2)
    with assert_reads(**{shard: "replica"}):
        Customer.objects.filter(pk=customer.pk).update(score=3)
        assert 3 == Customer.objects.replica(when_stale="wait").get(pk=customer.pk).score
    with pytest.raises(ValueError, match="max_lag"):
        Customer.objects.replica(max_lag=-1)
    with pytest.raises(ValueError, match="when_stale"):
        Customer.objects.replica(when_stale="hope")


def waited(read: Callable[[], object]) -> float:
    began = time.monotonic()
    read()
    return time.monotonic() - began


def test_how_long_a_read_waits_is_up_to_the_query_and_to_the_settings_of_its_primary(
    replicas: SimulatedReplicas, settings: Any, customer: Customer, shard: str
) -> None:
    for name in ("default", shard):
        replicas.set_lag(name, 4)
    rows = Customer.objects.filter(pk=customer.pk)
    assert 0.3 <= waited(lambda: list(rows.replica(max_lag=1, when_stale="wait", wait=0.3))) < 0.5

    settings.SHARDKIT = {
        **settings.SHARDKIT,
        "REPLICA_MAX_LAG": 1,
        "REPLICA_WHEN_STALE": {shard: "wait", "*": "raise"},
        "REPLICA_WAIT": {shard: 0.2, "*": 0.1},
    }
    assert 0.2 <= waited(lambda: list(rows)) < 0.4
    with pytest.raises(NoFreshReplica):
        list(User.objects.all())
    with pytest.raises(ValueError, match="wait is -1"):
        Customer.objects.replica(wait=-1)


class Recent(Customer):
    """Customers by a manager of their own."""

    recent: ClassVar = ReplicaManager(max_lag=1, when_stale="wait", wait=0.2)

    class Meta:
        app_label = "shop"
        proxy = True


def test_a_manager_can_say_how_long_its_queries_wait(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.set_lag(shard, 4)

    assert 0.2 <= waited(lambda: Recent.recent.get(pk=customer.pk)) < 0.4


def test_nobody_waits_for_what_cannot_come(
    replicas: SimulatedReplicas, settings: Any, customer: Customer, shard: str
) -> None:
    """A session that nothing is known about reads primaries, as one does for a while that has read two replicas."""
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_WHEN_STALE": "wait", "REPLICA_WAIT": 1}
    today = int(Session().today())
    read_two = Session.from_vector(Vector({Alias(shard): Entry(UNKNOWN, since=today, left=today)}))

    for session in (Session(suspicious=True), read_two):
        with session_scope(session), assert_reads(**{shard: "primary"}):
            assert waited(lambda: Customer.objects.get(pk=customer.pk)) < 0.5
    reading = Reading()
    reading._excluded.update(Alias(f"{shard}_replica_{number}") for number in (1, 2))  # as when they have just failed
    with session_scope(Session()):
        assert waited(lambda: reading.connection(Alias(shard))) < 0.5
    assert "it failed" == reading.choices[Alias(shard)].why
    replicas.lose(shard)
    with session_scope(Session()), assert_reads(**{shard: "primary"}):
        assert waited(lambda: Customer.objects.get(pk=customer.pk)) < 0.5


def test_a_session_keeps_its_replica_and_leaves_it_only_forwards(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    replicas.set_lag(f"{shard}_replica_2", 5)
    with assert_reads(**{shard: f"{shard}_replica_1"}):
        Customer.objects.get(pk=customer.pk)
    replicas.lose(f"{shard}_replica_1")

    with assert_reads(**{shard: "primary"}):
        Customer.objects.get(pk=customer.pk)
    with session_scope(Session()), assert_reads(**{shard: f"{shard}_replica_2"}):
        Customer.objects.get(pk=customer.pk)


def test_what_a_session_has_read_is_not_forgotten_while_it_goes_on_reading(
    replicas: SimulatedReplicas, customer: Customer, shard: str
) -> None:
    """A replica that is read for long may have shown more than another one has, however old the session is."""
    replicas.set_lag(f"{shard}_replica_2", 20)
    passed = 0.0
    session = Session(now=lambda: time.monotonic() + passed, today=lambda: timezone.now().timestamp() + passed)
    with session_scope(session):
        for _ in range(20):
            passed += 40
            with assert_reads(**{shard: f"{shard}_replica_1"}):
                Customer.objects.get(pk=customer.pk)
            assert f"{shard}_replica_1" == session.vector().entries[Alias(shard)].replica


def test_losing_all_replicas_leaves_the_primary(replicas: SimulatedReplicas, customer: Customer, shard: str) -> None:
    replicas.lose(shard)

    with assert_reads(**{shard: "primary"}):
        Customer.objects.get(pk=customer.pk)


def test_a_primary_takes_over_only_so_many_reads_of_lost_replicas(
    replicas: SimulatedReplicas, settings: Any, customer: Customer, shard: str
) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_PRIMARY_CAP": 1}
    replicas.lose(shard)
    reading = Reading()
    reading.connection(Alias(shard))

    with session_scope(Session()), pytest.raises(PrimaryReadsExceeded, match="Bring a replica back"):
        Customer.objects.get(pk=customer.pk)
    reading.end()
    with session_scope(Session()):
        assert customer == Customer.objects.get(pk=customer.pk)
        assert customer == Customer.objects.primary().get(pk=customer.pk)


@pytest.mark.parametrize("before", ["a replica", "the primary", "a write"])
def test_reads_of_those_who_have_read_and_written_before_are_counted_too(
    replicas: SimulatedReplicas, settings: Any, customer: Customer, shard: str, before: str
) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_PRIMARY_CAP": 1}
    session = Session()
    with session_scope(session):
        if before == "a write":
            Customer.objects.filter(pk=customer.pk).update(score=1)
        else:
            rows = Customer.objects.primary() if before == "the primary" else Customer.objects.all()
            rows.get(pk=customer.pk)
    replicas.lose(shard)

    def read() -> list[Customer]:
        with session_scope(session):
            return list(Customer.objects.filter(pk=customer.pk))

    reading = Reading()
    with session_scope(Session()):
        reading.connection(Alias(shard))
    for _ in range(2):
        with pytest.raises(PrimaryReadsExceeded):
            read()
    reading.end()
    assert [[customer]] * 3 == [read() for _ in range(3)]


def test_who_asks_for_the_primary_takes_over_nothing(
    replicas: SimulatedReplicas, settings: Any, customer: Customer, shard: str
) -> None:
    settings.SHARDKIT = {**settings.SHARDKIT, "REPLICA_PRIMARY_CAP": 1}
    replicas.lose(shard)
    reading = Reading()
    reading.connection(Alias(shard))

    with transaction.atomic():
        assert customer == Customer.objects.get(pk=customer.pk)
    with use_primary():
        assert customer == Customer.objects.get(pk=customer.pk)
    assert customer == Customer.objects.using(shard).get(pk=customer.pk)
    reading.end()


def test_a_copy_of_a_query_wishes_the_same(customer: Customer, shard: str) -> None:
    queryset = Customer.objects.primary().filter(pk=customer.pk)

    with assert_reads(**{shard: "primary"}):
        query = pickle.loads(pickle.dumps(queryset.query))  # noqa: S301 - our own
        again = Customer.objects.all()
        again.query = query
        assert [customer] == list(again)


def test_the_route_says_where_it_would_read(replicas: SimulatedReplicas, customer: Customer, shard: str) -> None:
    queryset = Customer.objects.filter(pk=customer.pk)

    assert f"{shard} is read from {shard}_replica_1: fresh (0.0 s behind)" in str(queryset.route())
    replicas.pause(shard)
    queryset.update(score=1)
    assert f"{shard} is read from {shard}: sticky" in str(queryset.route())
    assert "is read from default: " not in str(Country.objects.all().route())


def test_nothing_is_written_to_a_replica(customer: Customer, shard: str) -> None:
    name = f"{shard}_replica_1"
    with pytest.raises(ReplicaIsReadOnly, match=f"Leave out .using.., or name '{shard}'"):
        customer.save(using=name)
    with pytest.raises(ReplicaIsReadOnly):
        Customer.objects.using(name).filter(pk=customer.pk).update(score=1)
    with pytest.raises(ReplicaIsReadOnly):
        Customer.objects.using(name).filter(pk=customer.pk).delete()


@pytest.mark.usefixtures("customer")
def test_what_the_catalog_asks_for_itself_is_no_read_and_no_write_of_the_caller(replicas: SimulatedReplicas) -> None:
    """The shard map, new ids, and the directories that place keys."""
    replicas.pause("default")
    with session_scope(Session()) as session:
        reset_map()
        idranges.discard_all()
        Customer.objects.create(name="Grace", email="grace@example.org")
        list(Booth.objects.filter(fair="a"))
        Booth.objects.create(fair="a", number=1)
        list(Booth.objects.filter(fair="a"))

        assert Alias("default") not in session.vector().entries
        with assert_reads(default="replica"):
            list(User.objects.all())


class InATestCase(TestCase):
    databases = "__all__"

    def test_replicas_are_read_inside_the_transaction_of_the_test(self) -> None:
        with simulated_replicas(dict.fromkeys(SHARDS, 1)) as replicas:
            with session_scope(Session()):
                customer = Customer.objects.create(name="Ada", email="ada@testcase")
            shard = str(customer.shard)
            with assert_reads(**{shard: "replica"}):
                assert customer == Customer.objects.get(pk=customer.pk)
            replicas.pause(shard)
            Customer.objects.filter(pk=customer.pk).update(name="Grace")
            with assert_reads(**{shard: "primary"}):
                assert "Grace" == Customer.objects.get(pk=customer.pk).name


class OnlyDefault(TestCase):
    """While it runs, Django puts something in the place of what the connections to the shards can do."""

    databases: set[str] | Any = {"default"}

    def test_a_shard_may_not_be_read(self) -> None:
        with simulated_replicas({"shard_0": 1}), pytest.raises(AssertionError, match="not allowed"):
            list(Customer.objects.order_by("pk")[:1])


class AllDatabases(TestCase):
    databases = "__all__"

    def test_a_replica_is_read_by_itself_afterwards(self) -> None:
        connection = connections["shard_0"]
        connection.cursor = connection.cursor  # type: ignore[method-assign] # so Django leaves it
        with simulated_replicas({"shard_0": 1}) as replicas:
            replicas.set_lag("shard_0", 10)
            for _read in range(2):
                with assert_reads(shard_0="replica"):
                    list(Customer.objects.order_by("pk")[:1])
        del connection.cursor
