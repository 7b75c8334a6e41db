"""The pages of a site on which middleware is tried: sync and async, whole and streaming, well and ill."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.db import transaction
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from tests.shop.models import Customer


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("nothing")


def read(_request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse(Customer.objects.get(pk=pk).name)


def write(_request: HttpRequest, pk: int, name: str) -> HttpResponse:
    Customer.objects.filter(pk=pk).update(name=name)
    return HttpResponse("written")


@transaction.atomic
def write_in_a_block(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    return write(request, pk, name)


@transaction.atomic(savepoint=False)
def write_in_a_block_without_a_savepoint(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    return write(request, pk, name)


def write_and_raise(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    write(request, pk, name)
    raise RuntimeError("The view fails after its commit.")


def stream(_request: HttpRequest, pk: int, name: str) -> StreamingHttpResponse:
    """Write while the body is under way, and say so in the part after it."""

    def parts() -> Iterator[str]:
        yield "begun;"
        with transaction.atomic():
            Customer.objects.filter(pk=pk).update(name=name)
        yield "written;"
        yield Customer.objects.get(pk=pk).name

    return StreamingHttpResponse(parts())


def file(_request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))  # noqa: PTH123 - the response closes it


async def aread(_request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse((await Customer.objects.aget(pk=pk)).name)


async def awrite(_request: HttpRequest, pk: int, name: str) -> HttpResponse:
    await Customer.objects.filter(pk=pk).aupdate(name=name)
    return HttpResponse("written")


async def awrite_in_a_block(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    return await sync_to_async(write_in_a_block)(request, pk, name)


async def astream(_request: HttpRequest, pk: int, name: str) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        yield "begun;"
        await Customer.objects.filter(pk=pk).aupdate(name=name)
        yield "written;"
        yield (await Customer.objects.aget(pk=pk)).name

    return StreamingHttpResponse(parts())


def enter(request: HttpRequest, username: str) -> HttpResponse:
    login(request, User.objects.get(username=username), "django.contrib.auth.backends.ModelBackend")
    return HttpResponse("entered")


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("left")


urlpatterns = [
    path("nothing", nothing),
    path("read/<int:pk>", read),
    path("write/<int:pk>/<name>", write),
    path("block/<int:pk>/<name>", write_in_a_block),
    path("blunt/<int:pk>/<name>", write_in_a_block_without_a_savepoint),
    path("fail/<int:pk>/<name>", write_and_raise),
    path("stream/<int:pk>/<name>", stream),
    path("file", file),
    path("aread/<int:pk>", aread),
    path("awrite/<int:pk>/<name>", awrite),
    path("ablock/<int:pk>/<name>", awrite_in_a_block),
    path("astream/<int:pk>/<name>", astream),
    path("enter/<username>", enter),
    path("leave", leave),
]
