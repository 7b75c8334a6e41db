"""Which settings does a project on several databases have? Ordinary ones, but for the databases."""

from __future__ import annotations

import sys

import environ

from testapp.databases import database_settings

env = environ.Env()

DATABASES, SHARDKIT = database_settings(env)
DATABASE_ROUTERS = ["shardkit.routers.ShardRouter"]

SECRET_KEY = env.str("SECRET_KEY", default="a flight-booking site that anybody may read")
# Only for whoever tries the site: Django remembers every query while this is on, and loading a year has many.
DEBUG = env.bool("DEBUG", default="runserver" in sys.argv)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_filters",
    "rest_framework",
    "shardkit",
    "testapp.flights",
]
MIDDLEWARE = [
    "shardkit.middleware.StickyPrimaryMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "testapp.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "testapp.flights.visitors.traveller",
            ]
        },
    }
]
REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_PAGINATION_CLASS": "shardkit.pagination.CursorPagination",
    "PAGE_SIZE": 25,
}
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
