"""A site whose every answer says whose session it was, and what the request has counted in it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from django_jam_sessions import SessionNotFoundError, sessions

OWNER = "_auth_user_id"
TOKEN = "X-Token"  # a module's session id; engine's come in the cookie


def answer(owner: object, count: int) -> HttpResponse:
    return HttpResponse("%s %d" % (owner, count))


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


# The engine. The two tabs of a user count each under a name of its own.


def read(request: HttpRequest, tab: str) -> HttpResponse:
    session = request.session
    return answer(session.get(OWNER), session.get(tab, 0))


async def aread(request: HttpRequest, tab: str) -> HttpResponse:
    session = request.session
    return answer(await session.aget(OWNER), await session.aget(tab, 0))


def count(request: HttpRequest, tab: str) -> HttpResponse:
    session = request.session
    owner = session.get(OWNER)
    if owner is not None:
        session[tab] = session.get(tab, 0) + 1
    return answer(owner, session.get(tab, 0))


async def acount(request: HttpRequest, tab: str) -> HttpResponse:
    session = request.session
    owner = await session.aget(OWNER)
    if owner is not None:
        await session.aset(tab, await session.aget(tab, 0) + 1)
    return answer(owner, await session.aget(tab, 0))


def sign_out(request: HttpRequest, tab: str) -> HttpResponse:
    request.session.flush()
    return answer("out", 0)


async def asign_out(request: HttpRequest, tab: str) -> HttpResponse:
    await request.session.aflush()
    return answer("out", 0)


# The module


def module(request: HttpRequest, tab: str) -> HttpResponse:
    token = request.headers[TOKEN]
    try:
        data = sessions.sync.get(token)
        data[tab] = data.get(tab, 0) + 1
        sessions.sync.update(token, data)
    except SessionNotFoundError:
        return answer(None, 0)
    return answer(data["owner"], data[tab])


async def amodule(request: HttpRequest, tab: str) -> HttpResponse:
    token = request.headers[TOKEN]
    try:
        data = await sessions.get(token)
        data[tab] = data.get(tab, 0) + 1
        await sessions.update(token, data)
    except SessionNotFoundError:
        return answer(None, 0)
    return answer(data["owner"], data[tab])


urlpatterns = [
    path("untouched/", untouched),
    path("blocking/read/<tab>/", read),
    path("async/read/<tab>/", aread),
    path("blocking/count/<tab>/", count),
    path("async/count/<tab>/", acount),
    path("blocking/sign-out/<tab>/", sign_out),
    path("async/sign-out/<tab>/", asign_out),
    path("blocking/module/<tab>/", module),
    path("async/module/<tab>/", amodule),
]
