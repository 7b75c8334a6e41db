"""From which databases does a request read, by which rule?

``positions`` leaves it to shardkit. ``timer:2`` does what Rails and makara do: the primary for two seconds after a
write of this user, otherwise any replica that answers. ``timer:0`` reads replicas always, which has to be found out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, Final

from django.contrib.auth.models import Group
from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse

from shardkit import conf
from testapp.flights.models import Traveller

#: The time of the last write, as Rails keeps it in the session.
TIMER_COOKIE: Final = "wrote_at"
Rows = dict[str, int]
#: For each read: the primary that holds the rows, the database that answered, and why.
Told = list[tuple[str, str, str]]


def by_positions(travellers: Sequence[int], groups: Sequence[int]) -> Rows:
    """Read as any view does."""
    rows: Rows = {}
    if travellers:
        found = Traveller.objects.filter(pk__in=travellers).order_by().values_list("pk", "name")
        rows |= {f"t{pk}": int(name) for pk, name in found}
    if groups:
        rows |= {f"g{pk}": int(name) for pk, name in Group.objects.filter(pk__in=groups).values_list("pk", "name")}
    return rows


def by_timer(
    seconds: float, request: HttpRequest, travellers: Sequence[int], groups: Sequence[int]
) -> tuple[Rows, Told]:
    """Read the primaries for *seconds* after a write, replicas later."""
    age = time.time() - float(request.COOKIES.get(TIMER_COOKIE, 0))  # noqa: TID251 - of another process
    why = f"{seconds:g} s after a write" if age < seconds else "the time is over"
    rows, told = Rows(), Told()
    wanted: list[tuple[str, str, str, Sequence[int]]] = []
    if travellers:
        table = Traveller._meta.db_table
        wanted += [(shard.primary, table, "t", travellers) for shard in conf.get_settings().topology.shards]
    if groups:
        wanted.append(("default", Group._meta.db_table, "g", groups))
    for primary, table, letter, ids in wanted:
        alias, found = _read(primary, table, ids, is_primary=age < seconds)
        rows |= {f"{letter}{pk}": int(name) for pk, name in found}
        told.append((primary, alias, why))
    return rows, told


def start_timer(response: HttpResponse) -> None:
    """Note when this user wrote."""
    response.set_cookie(TIMER_COOKIE, repr(time.time()))  # noqa: TID251 - for another process


def _read(primary: str, table: str, ids: Sequence[int], *, is_primary: bool) -> tuple[str, list[Any]]:
    replicas = list(conf.get_settings().replicas[primary])  # type: ignore[index]
    random.shuffle(replicas)
    sql = f"SELECT id, name FROM {table} WHERE id IN ({', '.join(str(int(each)) for each in ids)})"  # noqa: S608 - numbers
    for alias in () if is_primary else replicas:
        try:
            return alias, _rows(alias, sql)
        except DatabaseError:
            connections[alias].close()
    return primary, _rows(primary, sql)


def _rows(alias: str, sql: str) -> list[Any]:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())
