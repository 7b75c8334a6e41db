"""Which addresses does the site of a run have? Those of testapp, and four for the clients."""

from __future__ import annotations

from django.urls import include, path

from tests.soak.site.asynchronous import aread, awrite
from tests.soak.site.views import read, write

urlpatterns = [
    path("soak/read", read),
    path("soak/write", write),
    path("soak/aread", aread),
    path("soak/awrite", awrite),
    path("", include("testapp.urls")),
]
