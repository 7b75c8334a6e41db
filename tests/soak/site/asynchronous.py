"""What do clients of an ASGI server ask for? The same as others, of views that wait without a thread.

A transaction needs a thread also here. Rows that need none are counted up by compare and set.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from shardkit.errors import ShardkitError
from testapp.flights.models import Traveller
from tests.soak.site.rules import Rows
from tests.soak.site.views import close_unusable, error_told, ids, raw, saved, telling_reads

AsyncView = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponseBase]]
#: How often compare and set is tried before the client is told that the row is too busy.
TRIES: Final = 100


def _errors_are_told(view: AsyncView) -> AsyncView:
    @functools.wraps(view)
    async def telling(request: HttpRequest) -> HttpResponseBase:
        try:
            return await view(request)
        except (Error, ShardkitError) as error:
            await sync_to_async(close_unusable)()
            return error_told(error)

    return telling


@_errors_are_told
async def aread(request: HttpRequest) -> HttpResponse:
    """Answer with the versions of some rows, of which two sorts are read at once."""
    with telling_reads() as told:
        found = await asyncio.gather(_travellers(ids(request, "t")), _groups(ids(request, "g")))
    return JsonResponse({"rows": found[0] | found[1], "told": told})


@csrf_exempt
@_errors_are_told
async def awrite(request: HttpRequest) -> HttpResponseBase:
    """Count one row up, or two of different databases, in one of several ways."""
    travellers, groups, how = ids(request, "t"), ids(request, "g"), request.GET.get("how", "orm")
    if how == "stream":
        return StreamingHttpResponse(_streamed(travellers, groups), content_type="application/json")
    if how == "raw":
        return JsonResponse({"rows": {f"t{pk}": await sync_to_async(raw)(pk) for pk in travellers}})
    if how == "both":
        return JsonResponse({"rows": await sync_to_async(saved)(travellers, groups)})
    return JsonResponse({"rows": await _counted_up(travellers, groups)})


async def _travellers(pks: list[int]) -> Rows:
    """Read one row by itself, and the others one after the other."""
    if not pks:
        return {}
    first = await Traveller.objects.aget(pk=pks[0])
    rows = {f"t{first.pk}": int(first.name)}
    async for row in Traveller.objects.filter(pk__in=pks[1:]).order_by():
        rows[f"t{row.pk}"] = int(row.name)
    return rows


async def _groups(pks: list[int]) -> Rows:
    if not pks:
        return {}
    first = await Group.objects.filter(pk=pks[0]).afirst()
    rows = {} if first is None else {f"g{first.pk}": int(first.name)}
    async for pk, name in Group.objects.filter(pk__in=pks[1:]).values_list("pk", "name"):
        rows[f"g{pk}"] = int(name)
    return rows


async def _counted_up(travellers: list[int], groups: list[int]) -> Rows:
    rows = {f"t{pk}": await _next_version(Traveller, pk) for pk in travellers}
    return rows | {f"g{pk}": await _next_version(Group, pk) for pk in groups}


async def _next_version(model: Any, pk: int) -> int:
    """Count up by compare and set: what a replica was late with is read from the primary after the first try."""
    for _try in range(TRIES):
        version = int((await model.objects.aget(pk=pk)).name)
        if await model.objects.filter(pk=pk, name=str(version)).aupdate(name=str(version + 1)):
            return version + 1
    raise Error(f"{model.__name__} {pk} is too busy.")


async def _streamed(travellers: list[int], groups: list[int]) -> AsyncIterator[bytes]:
    """Write while the response is sent: its headers are gone by then."""
    yield b" "
    yield json.dumps({"rows": await _counted_up(travellers, groups)}).encode()
