"""What do the clients of a run ask for?

Every row has a version, its name, which only grows. A write answers with the version that it made; a read with the
versions that it found and the databases that had them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from django.contrib.auth.models import Group
from django.db import Error, connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

import shardkit
from shardkit.errors import ShardkitError
from shardkit.signals import read_routed
from testapp.flights.models import Traveller
from tests.soak.site.rules import Told, by_positions, by_timer, start_timer

View = Callable[[HttpRequest], HttpResponseBase]
_told: Final[ContextVar[Told | None]] = ContextVar("soak_told", default=None)


def _note(*, primary: str, alias: str, why: str, **_kwargs: object) -> None:
    told = _told.get()
    if told is not None:
        told.append((primary, alias, why))


read_routed.connect(_note, dispatch_uid="soak")


def _errors_are_told(view: View) -> View:
    """Answer 503 with what went wrong, so that it can be counted."""

    @functools.wraps(view)
    def telling(request: HttpRequest) -> HttpResponseBase:
        try:
            return view(request)
        except (Error, ShardkitError) as error:
            close_unusable()
            return error_told(error)

    return telling


def close_unusable() -> None:
    """Close the connections that a failing database has left."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()


def error_told(error: Exception) -> JsonResponse:
    """Answer 503 with what went wrong."""
    return JsonResponse({"error": f"{type(error).__name__}: {error}"[:300]}, status=503)


@contextmanager
def telling_reads() -> Iterator[Told]:
    """Collect which databases answer the reads of the block."""
    told: Told = []
    token = _told.set(told)
    try:
        yield told
    finally:
        _told.reset(token)


@_errors_are_told
def read(request: HttpRequest) -> HttpResponse:
    """Answer with the versions of some rows."""
    travellers, groups = ids(request, "t"), ids(request, "g")
    seconds = _timer(request)
    if seconds is not None:
        rows, told = by_timer(seconds, request, travellers, groups)
        return JsonResponse({"rows": rows, "told": told})
    with telling_reads() as told:
        rows = by_positions(travellers, groups)
    return JsonResponse({"rows": rows, "told": told})


@csrf_exempt
@_errors_are_told
def write(request: HttpRequest) -> HttpResponseBase:
    """Count one row up, or two of different databases, in one of several ways."""
    travellers, groups, how = ids(request, "t"), ids(request, "g"), request.GET.get("how", "orm")
    response: HttpResponse | StreamingHttpResponse
    if how == "stream":
        response = StreamingHttpResponse(_streamed(travellers, groups), content_type="application/json")
    elif how == "raw" and travellers:
        response = JsonResponse({"rows": {f"t{each}": raw(each) for each in travellers}})
    else:
        response = JsonResponse({"rows": saved(travellers, groups)})
    if _timer(request) is not None:
        start_timer(response)  # type: ignore[arg-type]
    return response


def saved(travellers: list[int], groups: list[int]) -> dict[str, int]:
    """Count up in one transaction."""
    rows: dict[str, int] = {}
    with transaction.atomic():
        for letter, model, ids in (("g", Group, groups), ("t", Traveller, travellers)):
            for pk in ids:
                row: Any = model.objects.select_for_update().get(pk=pk)
                row.name = str(int(row.name) + 1)
                row.save(update_fields=["name"])
                rows[f"{letter}{pk}"] = int(row.name)
    return rows


def raw(pk: int) -> int:
    """Count up by a statement that no model knows of, outside of any transaction."""
    with connections[_home(pk)].cursor() as cursor:
        table = Traveller._meta.db_table
        if cursor.db.vendor == "mysql":
            cursor.execute(f"UPDATE {table} SET name = LAST_INSERT_ID(name + 1) WHERE id = %s", [pk])  # noqa: S608 - ours
            cursor.execute("SELECT LAST_INSERT_ID()")
        else:
            sql = f"UPDATE {table} SET name = name::int + 1 WHERE id = %s RETURNING name"  # noqa: S608 - ours
            cursor.execute(sql, [pk])
        return int(cursor.fetchone()[0])


@functools.cache
def _home(pk: int) -> str:
    plan = Traveller.objects.filter(pk=pk).route()
    assert isinstance(plan, shardkit.Single)
    return plan.alias


def _streamed(travellers: list[int], groups: list[int]) -> Iterator[bytes]:
    """Write while the response is sent: its headers are gone by then."""
    yield b" "
    yield json.dumps({"rows": saved(travellers, groups)}).encode()


def ids(request: HttpRequest, name: str) -> list[int]:
    """Return the keys that *request* names."""
    return [int(each) for each in request.GET.get(name, "").split(",") if each]


def _timer(request: HttpRequest) -> float | None:
    kind, _, seconds = request.GET.get("rule", "positions").partition(":")
    return float(seconds) if kind == "timer" else None
