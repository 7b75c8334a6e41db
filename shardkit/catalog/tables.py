"""What does the catalog keep, on the default database and nowhere else?"""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from shardkit.catalog.names import DIRECTORY_TABLE, ID_RANGE_TABLE, SHARD_MAP_TABLE


class ShardMapVersion(models.Model):
    """One version of the shard map. The highest is the current one; the others are its history."""

    version = models.BigIntegerField(primary_key=True)
    #: The layout of `owners`: a shardkit that does not know it must not guess.
    format = models.PositiveSmallIntegerField()
    bucket_count = models.PositiveIntegerField()
    #: JSON as `topology.shardmap.dumps` writes it.
    owners = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "shardkit"
        db_table = SHARD_MAP_TABLE
        verbose_name = "shard map version"

    def __str__(self) -> str:
        return f"shard map, version {self.version}"


class IdRange(models.Model):
    """Where the next range of sequence numbers begins, for one kind of row."""

    #: The label of the model, in lower case.
    name = models.CharField(max_length=200, primary_key=True)
    next_sequence = models.BigIntegerField()

    class Meta:
        app_label = "shardkit"
        db_table = ID_RANGE_TABLE
        verbose_name = "id range"

    def __str__(self) -> str:
        return f"{self.name}: from {self.next_sequence}"


class DirectoryEntry(models.Model):
    """The bucket of one key of one directory."""

    #: Stands for directory and key. Hexadecimal digits are equal or not whatever the collation, and their length
    #: suits every vendor's index: a text key does neither.
    digest = models.CharField(max_length=64, primary_key=True)
    directory = models.CharField(max_length=200, db_index=True)
    #: The canonical text of the key, for people.
    key = models.TextField()
    bucket = models.PositiveIntegerField()
    #: How often the key was given a bucket.
    version = models.PositiveIntegerField(default=1)

    class Meta:
        app_label = "shardkit"
        db_table = DIRECTORY_TABLE
        verbose_name = "directory entry"
        verbose_name_plural = "directory entries"

    def __str__(self) -> str:
        return f"{self.directory}: {self.key}"
