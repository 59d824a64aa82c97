"""A site that counts a session's visits, for servers in processes of their own."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from django_jam_sessions import sessions

settings.configure(
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_jam_sessions"],
    MIDDLEWARE=["django_jam_sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django_jam_sessions.engine",
    JAM_SESSIONS={"SESSIONS_TYPE": "redis", "REDIS_URI": os.environ["REDIS_URI"]},
)


async def count(request: HttpRequest) -> HttpResponse:
    visits = await request.session.aget("visits", 0) + 1
    await request.session.aset("visits", visits)
    return HttpResponse(str(visits))


def blocking_count(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


urlpatterns = [path("", count), path("blocking/", blocking_count)]
asgi = get_asgi_application()
wsgi = get_wsgi_application()
sessions.sync.create("made before the fork", {})
