"""Which tables does the catalog begin with?"""

from __future__ import annotations

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="DirectoryEntry",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("directory", models.CharField(db_index=True, max_length=200)),
                ("key", models.TextField()),
                ("bucket", models.PositiveIntegerField()),
                ("version", models.PositiveIntegerField(default=1)),
            ],
            options={
                "db_table": "shardkit_directoryentry",
                "verbose_name": "directory entry",
                "verbose_name_plural": "directory entries",
            },
        ),
        migrations.CreateModel(
            name="IdRange",
            fields=[
                ("name", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("next_sequence", models.BigIntegerField()),
            ],
            options={"db_table": "shardkit_idrange", "verbose_name": "id range"},
        ),
        migrations.CreateModel(
            name="ShardMapVersion",
            fields=[
                ("version", models.BigIntegerField(primary_key=True, serialize=False)),
                ("format", models.PositiveSmallIntegerField()),
                ("bucket_count", models.PositiveIntegerField()),
                ("owners", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={"db_table": "shardkit_shardmapversion", "verbose_name": "shard map version"},
        ),
    ]
