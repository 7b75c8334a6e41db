"""Which addresses does the site have?"""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("testapp.flights.api.urls")),
    path("", include("testapp.flights.urls")),
]
