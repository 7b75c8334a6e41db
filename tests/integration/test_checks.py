"""Is each mistake in a declaration found, by its id, before it can do harm?"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core import checks
from django.db import connection, connections, models
from django.db.models.functions import Lower, Now
from django.test import override_settings
from django.test.utils import isolate_apps

from shardkit.catalog import store
from shardkit.checks import check_catalog, check_models, check_settings
from shardkit.models import ByList, ByRange, PlacedModel, ReferenceModel, ShardedModel, ShardKeyCharField
from shardkit.orm.declarations import findings
from shardkit.orm.placing import key_of
from shardkit.routing.registry import placement_of
from tests.shop.models import Country, Customer, Gadget


class Sharded(ShardedModel):
    class Meta:
        abstract = True
        app_label = "shop"


class Reference(ReferenceModel):
    class Meta:
        abstract = True
        app_label = "shop"


class Placed(PlacedModel):
    class Meta:
        abstract = True
        app_label = "shop"


def ids(model: type[models.Model]) -> list[str]:
    """Return the ids of what is found wrong with *model*."""
    return sorted(finding.id for finding in findings(model))


@isolate_apps("tests.shop")
def test_a_sharded_model_needs_a_shard_key():
    class Unkeyed(Sharded):
        name = models.CharField(max_length=5)

    assert ids(Unkeyed) == ["shardkit.E030"]


@isolate_apps("tests.shop")
def test_a_shard_key_names_fields():
    class Misnamed(Sharded):
        shard_key = ("name", "nothing")
        name = ShardKeyCharField(max_length=5)

    (finding,) = findings(Misnamed)

    assert finding.id == "shardkit.E030"
    assert "'nothing'" in finding.fact
    assert "name" in finding.hint


@isolate_apps("tests.shop")
def test_a_key_that_refers_to_rows_of_unknown_place():
    class Repair(Sharded):
        shard_key = "gadget"
        gadget = models.ForeignKey(Gadget, models.CASCADE, db_constraint=False)

    assert ids(Repair) == ["shardkit.E031"]


@pytest.mark.parametrize(
    "field",
    [models.FloatField(), models.JSONField(), models.BinaryField(), models.DurationField()],
    ids=lambda field: type(field).__name__,
)
@isolate_apps("tests.shop")
def test_a_key_without_a_canonical_text(field):
    class Odd(Sharded):
        shard_key = "key"
        key = field.clone()

    assert ids(Odd) == ["shardkit.E032"]


@isolate_apps("tests.shop")
def test_text_that_is_compared_without_case():
    class Loose(Sharded):
        shard_key = "name"
        name = models.CharField(max_length=5)

    class Folded(Sharded):
        shard_key = "name"
        name = models.CharField(
            max_length=5, db_collation="NOCASE" if connection.vendor == "sqlite" else "utf8mb4_general_ci"
        )

    expected = ["shardkit.E033"] if connection.vendor == "mysql" else []
    assert ids(Loose) == expected
    if connection.vendor != "postgresql":
        assert ids(Folded) == ["shardkit.E033"]


@isolate_apps("tests.shop")
def test_models_are_checked_without_a_database(monkeypatch):
    class Loose(Sharded):
        shard_key = "name"
        name = models.CharField(max_length=5)

    class Refers(Sharded):
        shard_key = "loose"
        loose = models.ForeignKey(Loose, models.CASCADE)

    def connects(_wrapper):
        raise AssertionError

    known, connections["default"] = connections["default"], connection.copy()
    monkeypatch.setattr(type(connections["default"]), "connect", connects)
    try:
        found = ids(Loose) + ids(Refers)
    finally:
        connections["default"] = known
    assert found == (["shardkit.E033"] if connection.vendor == "mysql" else [])


@pytest.mark.parametrize(
    ("vendor", "collation"),
    [("mysql", "utf8mb4_bin"), ("mysql", "latin1_bin"), ("postgresql", "case_insensitive"), ("sqlite", "RTRIM")],
)
@isolate_apps("tests.shop")
def test_a_collation_that_may_ignore_something(vendor, collation):
    class Padded(Sharded):
        shard_key = "name"
        name = ShardKeyCharField(max_length=5, db_collation=collation)

    if connection.vendor == vendor:
        assert ids(Padded) == ["shardkit.E033"]


@pytest.mark.parametrize(
    ("vendor", "collation"),
    [
        ("mysql", "utf8mb4_nopad_bin"),
        ("postgresql", "C"),
        ("postgresql", "de-x-icu"),
        ("postgresql", "de_DE.utf8"),
        ("sqlite", "BINARY"),
    ],
)
@isolate_apps("tests.shop")
def test_a_collation_that_compares_every_byte(vendor, collation):
    class Exact(Sharded):
        shard_key = "name"
        name = ShardKeyCharField(max_length=5, db_collation=collation)

    if connection.vendor == vendor:
        assert ids(Exact) == []


@isolate_apps("tests.shop")
def test_a_range_of_text_prunes_by_no_collation_of_its_own():
    class Ordered(Sharded):
        shard_key = "name"
        sharding = ByRange({"": 0, "m": 500})
        name = ShardKeyCharField(max_length=5, db_collation="de-x-icu")

    class Coded(Sharded):
        shard_key = "name"
        sharding = ByRange({"": 0, "m": 500})
        name = ShardKeyCharField(max_length=5)

    assert key_of(placement_of(Ordered)).function.between("z", None, 1024) is None
    assert key_of(placement_of(Coded)).function.between("z", None, 1024) is not None


@isolate_apps("tests.shop")
def test_a_constraint_that_leaves_its_database():
    class Post(Sharded):
        shard_key = "customer"
        customer = models.ForeignKey(Customer, models.CASCADE)
        author = models.ForeignKey(User, models.CASCADE, related_name="+")
        country = models.ForeignKey(Country, models.PROTECT)
        answers = models.ForeignKey("self", models.CASCADE, null=True)

    found = list(findings(Post))

    assert [finding.id for finding in found] == ["shardkit.E034", "shardkit.E034"]
    assert "Post.author" in found[0].fact
    assert "Post.answers" in found[1].fact
    assert "db_constraint=False" in found[0].hint


@isolate_apps("tests.shop", "django.contrib.auth", "django.contrib.contenttypes")
def test_a_global_or_placed_model_with_a_constraint_to_a_sharded_one():
    class Star(models.Model):
        customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")

        class Meta:
            app_label = "shop"

    class Receipt(Placed):
        database = "audit"
        customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")

        class Meta:
            app_label = "shop"

    assert ids(Star) == ["shardkit.E034"]
    assert ids(Receipt) == ["shardkit.E034"]


@isolate_apps("tests.shop")
def test_a_many_to_many_field_between_two_shards():
    class Club(Sharded):
        shard_key = "id"
        members = models.ManyToManyField(Customer, related_name="+")

    (finding,) = findings(Club.members.through)

    assert finding.id == "shardkit.E034"
    assert "The table of shop.Club.members has a constraint to shop.Customer" in finding.fact
    assert "Add db_constraint=False to the ManyToManyField shop.Club.members" in finding.hint
    assert str(finding.subject) == "shop.Club.members"


@pytest.mark.skipif(not hasattr(models, "DB_CASCADE"), reason="Django has database-level cascades from 6.1 on")
@isolate_apps("tests.shop")
def test_a_cascade_in_the_database():
    class Post(Sharded):
        shard_key = "region"
        region = models.IntegerField()
        customer = models.ForeignKey(Customer, models.DB_CASCADE, db_constraint=False, related_name="+")

    assert ids(Post) == ["shardkit.E035"]


@pytest.mark.parametrize("on_delete", [models.SET_NULL, models.SET_DEFAULT, models.SET(None)], ids=str)
@isolate_apps("tests.shop")
def test_a_key_that_on_delete_would_change(on_delete):
    class Post(Sharded):
        shard_key = "customer"
        customer = models.ForeignKey(Customer, on_delete, null=True, default=None)

    assert "shardkit.E036" in ids(Post)


@isolate_apps("tests.shop")
def test_a_child_that_lives_elsewhere_than_its_parent():
    class Place(models.Model):
        class Meta:
            app_label = "shop"

    class Shop(Place, Sharded):
        shard_key = "region"
        region = models.IntegerField()

        class Meta:
            app_label = "shop"

    assert "shardkit.E037" in ids(Shop)


@isolate_apps("tests.shop")
def test_a_child_of_a_row_whose_id_does_not_say_its_shard():
    class Engine(Gadget):
        power = models.IntegerField()

        class Meta:
            app_label = "shop"

    assert "shardkit.E037" in ids(Engine)


@isolate_apps("tests.shop")
def test_a_sharding_that_does_not_fit():
    class Far(Sharded):
        shard_key = "year"
        sharding = ByRange({2000: 0, 2010: 5000})
        year = models.IntegerField()

    class Wide(Sharded):
        shard_key = ("year", "month")
        sharding = ByList({2000: 0})
        year = models.IntegerField()
        month = models.IntegerField()

    assert ids(Far) == ["shardkit.E038"]
    assert ids(Wide) == ["shardkit.E038"]


def test_a_model_that_is_placed_twice():
    with override_settings(SHARDKIT={"SHARDS": ["shard_0", "shard_1"], "PLACEMENT": {"shop.Customer": "audit"}}):
        assert "shardkit.E039" in ids(Customer)


def test_a_placement_of_what_is_not_installed():
    placement = {"nothing": "audit", "shop.Nothing": "audit"}
    with override_settings(SHARDKIT={"SHARDS": ["shard_0", "shard_1"], "PLACEMENT": placement}):
        found = [message for message in check_models() if message.id == "shardkit.E040"]

    assert len(found) == 2


@pytest.mark.parametrize("alias", ["nowhere", "shard_0"])
@isolate_apps("tests.shop")
def test_a_database_that_cannot_hold_a_placed_model(alias):
    class Paper(Placed):
        database = alias

    assert ids(Paper) == ["shardkit.E041"]


@isolate_apps("tests.shop")
def test_an_order_within_rows_of_several_shards():
    class Answer(Sharded):
        shard_key = "region"
        region = models.IntegerField()
        customer = models.ForeignKey(Customer, models.CASCADE, db_constraint=False, related_name="+")

        class Meta:
            app_label = "shop"
            order_with_respect_to = "customer"

    assert ids(Answer) == ["shardkit.E042"]


@isolate_apps("tests.shop")
def test_a_key_that_the_database_computes():
    class Late(Sharded):
        shard_key = "day"
        day = models.DateTimeField(db_default=Now())

    assert ids(Late) == ["shardkit.E043"]


@isolate_apps("tests.shop")
def test_what_is_unique_on_each_shard_alone():
    class Account(Sharded):
        shard_key = "customer"
        customer = models.ForeignKey(Customer, models.CASCADE)
        number = models.IntegerField(unique=True)
        name = models.CharField(max_length=5)

        class Meta:
            app_label = "shop"
            unique_together = [("customer", "name")]
            constraints = [models.UniqueConstraint(fields=["name"], name="one_name")]

    assert ids(Account) == ["shardkit.W001", "shardkit.W001"]
    assert ids(Gadget) == ["shardkit.W002"]


@isolate_apps("tests.shop")
def test_a_unique_expression_holds_on_each_shard_alone_unless_the_shard_key_is_beside_it():
    class Alias(Sharded):
        shard_key = "customer"
        customer = models.ForeignKey(Customer, models.CASCADE)
        name = models.CharField(max_length=5)

        class Meta:
            app_label = "shop"
            constraints = [
                models.UniqueConstraint(Lower("name"), name="one_name_in_all"),
                models.UniqueConstraint("customer", Lower("name"), name="one_name_for_each"),
                models.UniqueConstraint(Lower("customer"), Lower("name"), name="one_name_for_some"),
            ]

    assert [
        "shop.Alias: one_name_in_all is unique on each shard alone.",
        "shop.Alias: one_name_for_some is unique on each shard alone.",
    ] == [finding.fact for finding in findings(Alias)]


@isolate_apps("tests.shop")
def test_what_is_right_is_not_complained_of():
    class Region(Reference):
        code = models.CharField(max_length=2, primary_key=True)

    class Visit(Sharded):
        shard_key = "customer"
        customer = models.ForeignKey(Customer, models.CASCADE)
        region = models.ForeignKey(Region, models.PROTECT)
        other = models.ForeignKey(Customer, models.SET_NULL, null=True, db_constraint=False, related_name="+")

        class Meta:
            app_label = "shop"
            unique_together = [("customer", "region")]

    assert ids(Region) == []
    assert ids(Visit) == []


def test_the_projects_own_models_have_only_warnings():
    assert not [message for message in [*check_settings(), *check_models()] if message.is_serious()]


@pytest.mark.django_db(databases=["default"])
class TestCatalog:
    @pytest.fixture(autouse=True)
    def _read_again(self):
        store.reset_map()
        yield
        store.reset_map()

    def test_a_catalog_that_agrees_is_fine(self):
        assert check_catalog(databases=["default"]) == []

    def test_another_number_of_buckets_is_an_error(self):
        with override_settings(SHARDKIT={"SHARDS": ["shard_0", "shard_1", "shard_2", "shard_3"], "BUCKETS": 2048}):
            (message,) = check_catalog(databases=["default"])

        assert message.id == "shardkit.E050"
        assert isinstance(message, checks.Error)
        assert "1024" in message.msg

    def test_without_the_database_nothing_is_asked(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert check_catalog(databases=None) == []
