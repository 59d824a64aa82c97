"""A site for hostile requests: the API, for somebody who may do anything, and two views, of which
one reads the session and one writes it. It asks no database."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path

ROOT = User(pk=17, username="root", is_active=True, is_superuser=True)
DIRECTORY = tempfile.mkdtemp(prefix="jam-fuzz-")
atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)


def for_root(get_response: Any) -> Any:
    """As a site's middleware for tokens does it: see docs/api.md."""

    def middleware(request: Any) -> Any:
        async def auser() -> User:
            return ROOT

        request.user, request.auser, request.csrf_processing_done = ROOT, auser, True
        return get_response(request)

    return middleware


def read(request: HttpRequest) -> HttpResponse:
    return HttpResponse("%s %s" % (request.session.get("n"), request.session.is_empty()))


def write(request: HttpRequest) -> HttpResponse:
    request.session["n"] = 1
    return HttpResponse()


urlpatterns = [
    path("api/", include("django_jam_sessions.api_urls")),
    path("read/", read),
    path("write/", write),
]

SETTINGS = {
    "ROOT_URLCONF": __name__,
    "MIDDLEWARE": [
        "django_jam_sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "tests.fuzz.site.for_root",
    ],
    "JAM_SESSIONS": {"JSON_PATH": DIRECTORY + "/sessions"},
}


def ask(is_async: bool, method: str, url: str, body: bytes = b"", **headers: str) -> Any:
    """The response to a request of a client that nobody knows."""
    media = headers.pop("content_type", "application/json")
    options: dict[str, Any] = {"content_type": media, "headers": headers}
    if not is_async:
        return Client().generic(method, url, body, **options)

    async def aask() -> Any:
        return await AsyncClient().generic(method, url, body, **options)

    return async_to_sync(aask)()
