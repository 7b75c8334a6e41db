"""A shop whose models meet in every way that sharding makes difficult."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models

from shardkit.models import (
    ByHash,
    ByList,
    ByLookup,
    ByRange,
    PlacedModel,
    ReferenceModel,
    ShardedModel,
    ShardedUUIDField,
    ShardKeyCharField,
)


class Country(ReferenceModel):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=50)


class Label(ReferenceModel):
    name = models.CharField(max_length=20)


class Product(models.Model):
    """Global: it is only on the logical database."""

    name = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=10, decimal_places=2)


class Invoice(PlacedModel):
    database = "audit"
    number = models.IntegerField(unique=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)


class InvoiceLine(PlacedModel):
    database = "audit"
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines")
    text = models.CharField(max_length=50)


class Customer(ShardedModel):
    shard_key = "id"
    name = models.CharField(max_length=50)
    email = models.CharField(max_length=80, unique=True)
    country = models.ForeignKey(Country, models.PROTECT, null=True)
    referrer = models.ForeignKey("self", models.SET_NULL, null=True, related_name="referred", db_constraint=False)
    score = models.IntegerField(null=True)


class Profile(ShardedModel):
    """One to one, and its primary key is its shard key."""

    shard_key = "customer"
    customer = models.OneToOneField(Customer, models.CASCADE, related_name="profile", primary_key=True)
    bio = models.TextField()


class Order(ShardedModel):
    shard_key = "customer"
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    product = models.ForeignKey(Product, models.PROTECT, related_name="orders", db_constraint=False, null=True)
    number = models.IntegerField()
    status = models.CharField(max_length=10)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    weight = models.FloatField(null=True)
    created = models.DateTimeField()
    note = models.TextField(null=True)  # noqa: DJ001 - NULL is one of the traps
    labels = models.ManyToManyField(Label)
    tags = GenericRelation("Tagged")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "number"], name="uniq_number")]


class OrderReport(models.Model):
    """A plain model over the table of a sharded one, as reporting code has them."""

    number = models.IntegerField()
    status = models.CharField(max_length=10)

    class Meta:
        managed = False
        db_table = "shop_order"


class Line(ShardedModel):
    """Two foreign keys away from the key that places it."""

    shard_key = "order"
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    sku = models.CharField(max_length=10)
    qty = models.IntegerField()


class Shipment(ShardedModel):
    """It has a key of its own, so that its order is anywhere."""

    shard_key = "region"
    region = ShardKeyCharField(max_length=10)
    order = models.ForeignKey(Order, models.CASCADE, related_name="shipments", db_constraint=False)
    cost = models.IntegerField()


class Tagged(ShardedModel):
    shard_key = "id"
    content_type = models.ForeignKey(ContentType, models.CASCADE, db_constraint=False)
    object_id = models.BigIntegerField()
    target = GenericForeignKey()
    tag = models.CharField(max_length=10)


class Reading(ShardedModel):
    """A composite key, of which one part may be NULL."""

    shard_key = ("station", "year")
    station = ShardKeyCharField(max_length=10)
    year = models.IntegerField(null=True)
    value = models.FloatField()


class Gadget(ShardedModel):
    """A natural primary key that does not say where the row lives."""

    shard_key = "maker"
    code = ShardKeyCharField(max_length=20, primary_key=True)
    maker = models.IntegerField()
    price = models.IntegerField(default=0)


class Document(ShardedModel):
    """A UUID that carries its bucket."""

    shard_key = "customer"
    id = ShardedUUIDField(primary_key=True)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="documents")
    title = models.CharField(max_length=50)


class Parcel(ShardedModel):
    """Placed by ranges of its zone, one range on each of four shards."""

    shard_key = "zone"
    sharding = ByRange({0: 0, 100: 300, 200: 600, 300: 900}, end=1000, null=1)
    zone = models.IntegerField(null=True)
    weight = models.IntegerField()


class Ticket(ShardedModel):
    """Placed by a list of queues; its id says the bucket too."""

    shard_key = "queue"
    sharding = ByList({"support": 0, "sales": 400}, default=700)
    queue = ShardKeyCharField(max_length=10)
    title = models.CharField(max_length=20)
    #: As an app that never heard of shardkit would declare it.
    everything = models.Manager()


class Answer(ShardedModel):
    """Colocated by the id of its ticket, whatever places that, and ordered by default."""

    shard_key = "ticket"
    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="answers")
    text = models.CharField(max_length=20)

    class Meta:
        ordering = ["text", "pk"]


class Fare(ReferenceModel):
    """Copied, with columns that the database fills."""

    name = models.CharField(max_length=20)
    price = models.IntegerField(db_default=7)
    twice = models.GeneratedField(expression=models.F("price") * 2, output_field=models.IntegerField(), db_persist=True)


class Meter(ShardedModel):
    """Sharded, with columns that the database fills."""

    shard_key = "place"
    place = models.IntegerField()
    count = models.IntegerField(db_default=7)
    twice = models.GeneratedField(expression=models.F("count") * 2, output_field=models.IntegerField(), db_persist=True)


class Wholesaler(Customer):
    """It inherits a table that places itself by its id."""

    discount = models.IntegerField(default=0)


class RushOrder(Order):
    """It inherits a table that is placed by a foreign key."""

    hours = models.IntegerField(default=0)


class Regular(Customer):
    """Another name for the same rows."""

    class Meta:
        proxy = True
        ordering = ["-email"]


class Union(Country):
    """It inherits a copied table."""

    members = models.IntegerField(default=0)


class Tariff(ShardedModel):
    """What several sharded models have in common."""

    shard_key = "zone"
    zone = models.IntegerField()
    price = models.IntegerField(default=0)

    class Meta:
        abstract = True


class DayTariff(Tariff):
    pass


class NightTariff(Tariff):
    surcharge = models.IntegerField(default=0)


class Part(ShardedModel):
    """It restricts the deletion of what it refers to, on its own shard and on another."""

    shard_key = "shelf"
    shelf = models.IntegerField()
    order = models.ForeignKey(Order, models.RESTRICT, related_name="parts", db_constraint=False)
    made_of = models.ForeignKey("self", models.CASCADE, null=True, db_constraint=False)
    default_label = models.ForeignKey(Label, models.SET_DEFAULT, null=True, default=None)
    bought = models.ForeignKey(Product, models.CASCADE, null=True, db_constraint=False)


class Room(ShardedModel):
    """A composite primary key that begins with the shard key."""

    shard_key = "tenant"
    pk = models.CompositePrimaryKey("tenant", "number")
    tenant = models.IntegerField()
    number = models.IntegerField()
    name = models.CharField(max_length=9)


class Booth(ShardedModel):
    """A directory says where each fair is; new fairs are recorded where their hash says."""

    shard_key = "fair"
    sharding = ByLookup("fairs", new_keys=ByHash())
    fair = ShardKeyCharField(max_length=20)
    number = models.IntegerField()


class Stand(ShardedModel):
    """A directory whose keys must be assigned before."""

    shard_key = "market"
    sharding = ByLookup("markets")
    market = models.IntegerField()
    name = models.CharField(max_length=9)


class LiveNotices(models.Manager["Notice"]):
    """It hides rows, even from Django's own lookups."""

    def get_queryset(self) -> models.QuerySet[Notice]:
        return super().get_queryset().filter(hidden=False)


class Notice(ReferenceModel):
    """Copied, stamped by Python when it is inserted, and partly hidden by its base manager."""

    text = models.CharField(max_length=50)
    made = models.DateTimeField(auto_now_add=True)
    hidden = models.BooleanField(default=False)

    live = LiveNotices()
    everything = models.Manager()

    class Meta:
        base_manager_name = "live"


class LiveTokens(models.Manager["Token"]):
    """It hides rows, even from Django's own lookups."""

    def get_queryset(self) -> models.QuerySet[Token]:
        return super().get_queryset().filter(hidden=False)


class Token(ShardedModel):
    """Its primary key does not say its shard, and its base manager hides rows."""

    shard_key = "amount"
    code = ShardKeyCharField(max_length=20, primary_key=True)
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    hidden = models.BooleanField(default=False)

    live = LiveTokens()
    everything = models.Manager()

    class Meta:
        base_manager_name = "live"


class Memo(models.Model):
    """A model that is not ours, as far as its class goes: ``SHARDKIT["PLACEMENT"]`` places it."""

    text = models.CharField(max_length=50)
    country = models.ForeignKey(Country, models.CASCADE, null=True, db_constraint=False)


class Sample(ShardedModel):
    """Values that databases sort otherwise than Python does, and otherwise than one another."""

    shard_key = "spot"
    spot = models.IntegerField()
    #: The length is for forms; the column takes any.
    text = models.TextField(null=True, max_length=1)  # noqa: DJ001 - NULL is one of the values
    name = models.CharField(max_length=40, null=True)  # noqa: DJ001
    folded = models.CharField(  # noqa: DJ001
        max_length=40,
        null=True,
        db_collation={"sqlite": "NOCASE", "mysql": "utf8mb4_general_ci"}.get(connection.vendor, "POSIX"),
    )
    real = models.FloatField(null=True)
    amount = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    hour = models.TimeField(null=True)
    span = models.DurationField(null=True)
    token = models.UUIDField(null=True)
    flag = models.BooleanField(null=True)
    blob = models.BinaryField(null=True)
    document = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)


class SampleReport(models.Model):
    """A plain model over the table of a sharded one, of which it knows too little."""

    name = models.CharField(max_length=1, null=True)  # noqa: DJ001

    class Meta:
        managed = False
        db_table = "shop_sample"
