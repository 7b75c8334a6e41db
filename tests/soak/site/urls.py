"""Which addresses does the site of a run have? Those of testapp, and two for the clients."""

from __future__ import annotations

from django.urls import include, path

from tests.soak.site.views import read, write

urlpatterns = [
    path("soak/read", read),
    path("soak/write", write),
    path("", include("testapp.urls")),
]
