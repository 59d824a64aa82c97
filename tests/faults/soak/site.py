"""The test project with views that say whose session it was, each blocking and async."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import alogin as django_alogin
from django.contrib.auth import alogout as django_alogout
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.http import require_POST

from django_jam_sessions import SessionNotFoundError, sealing, sessions
from django_jam_sessions.codec import Place
from django_jam_sessions.configured import configured

from .figures import KEYS


def said(owner: Any, session: Any, **more: Any) -> HttpResponse:
    return JsonResponse({"user": owner, "handle": session.handle, **more})


def read(request: HttpRequest) -> HttpResponse:
    session = request.session
    return said(request.user.pk, session, counts={key: session.get(key, 0) for key in KEYS})


async def aread(request: HttpRequest) -> HttpResponse:
    user, session = await request.auser(), request.session
    return said(user.pk, session, counts={key: await session.aget(key, 0) for key in KEYS})


@require_POST
def write(request: HttpRequest, key: str) -> HttpResponse:
    owner, session = request.user.pk, request.session
    if owner is not None:
        session[key] = session.get(key, 0) + 1
    return said(owner, session, counts={key: session.get(key, 0)})


@require_POST
async def awrite(request: HttpRequest, key: str) -> HttpResponse:
    user, session = await request.auser(), request.session
    if user.pk is not None:
        await session.aset(key, await session.aget(key, 0) + 1)
    return said(user.pk, session, counts={key: await session.aget(key, 0)})


@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """An anonymous session, which is somebody's after the sign-in."""
    request.session[KEYS[0]] = 1
    return said(request.user.pk, request.session)


@require_POST
async def abegin(request: HttpRequest) -> HttpResponse:
    await request.session.aset(KEYS[0], 1)
    return said((await request.auser()).pk, request.session)


def list_own(request: HttpRequest) -> HttpResponse:
    key = request.user.pk
    found = sessions.sync.list(str(key)) if key else []
    return said(key, request.session, handles=[info.handle for info in found])


async def alist_own(request: HttpRequest) -> HttpResponse:
    key = (await request.auser()).pk
    found = await sessions.list(str(key)) if key else []
    return said(key, request.session, handles=[info.handle for info in found])


@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    login(request, _known(request))
    return HttpResponse("in")


@require_POST
async def asign_in(request: HttpRequest) -> HttpResponse:
    await django_alogin(request, await sync_to_async(_known)(request))
    return HttpResponse("in")


def _known(request: HttpRequest) -> Any:
    name = request.POST["username"]
    return authenticate(request, username=name, password=name)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


@require_POST
async def asign_out(request: HttpRequest) -> HttpResponse:
    await django_alogout(request)
    return HttpResponse("out")


@require_POST
def end(request: HttpRequest, handle: str) -> HttpResponse:
    try:
        sessions.sync.end(str(request.user.pk), handle)
    except SessionNotFoundError:
        return HttpResponse(status=404)
    return HttpResponse("ended")


# What a process keeps once it was used is made now: the soak looks for what goes on growing.
for secret in configured.engine().operations.cipher.secrets:  # type: ignore[attr-defined]
    for number in range(sealing.KEYS):
        secret.aead(Place("", number.to_bytes(2, "big")))

urlpatterns = [
    path("blocking/read/", read),
    path("async/read/", aread),
    path("blocking/write/<key>/", write),
    path("async/write/<key>/", awrite),
    path("blocking/begin/", begin),
    path("async/begin/", abegin),
    path("blocking/list/", list_own),
    path("async/list/", alist_own),
    path("blocking/sign-in/", sign_in),
    path("async/sign-in/", asign_in),
    path("blocking/sign-out/", sign_out),
    path("async/sign-out/", asign_out),
    path("blocking/end/<handle>/", end),
    path("", include("testproject.urls")),
]
