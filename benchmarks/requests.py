"""Whole requests through Django's handlers: what the session adds to them."""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test.utils import override_settings
from django.urls import path

BARE = "no session"
FLOOR = "raw calls in a middleware"
ASYNC_BARE = "an async view without a session"
ASYNC_OURS = "this engine and middleware, an async view"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
OURS = "django_jam_sessions.middleware.SessionMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"
TTL = 1_209_600
REQUESTS = 64  # a round
AT_LEAST = 6  # that each of those who ask at once makes in a round


def touch(request: HttpRequest) -> HttpResponse:
    """Reads and writes the session, as a view does that counts visits."""
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse("x")


async def atouch(request: HttpRequest) -> HttpResponse:
    session: Any = request.session
    if isinstance(session, dict):
        session["count"] = session.get("count", 0) + 1
    else:
        await session.aset("count", await session.aget("count", 0) + 1)
    return HttpResponse("x")


urlpatterns = [path("", touch), path("async/", atouch)]


class NoSession:
    """A dictionary that is thrown away: what a request costs without a session."""

    async_capable = sync_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        request.session = {}
        return self.get_response(request)


class RawMiddleware:
    """The floor: a GET before the view and a SET EX after it, by redis-py itself."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.client = redis.Redis.from_url(str(settings.JAM_SESSIONS["REDIS_URI"]))

    def __call__(self, request: Any) -> Any:
        found: Any = self.client.get(request.COOKIES["raw"])
        request.session = json.loads(found)
        response = self.get_response(request)
        self.client.set(request.COOKIES["raw"], json.dumps(request.session), ex=TTL)
        response.set_cookie("raw", request.COOKIES["raw"], max_age=TTL)
        return response


class AsyncRawMiddleware:
    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        pool: Any = redis.asyncio.BlockingConnectionPool.from_url(
            str(settings.JAM_SESSIONS["REDIS_URI"]), max_connections=50
        )
        self.client = redis.asyncio.Redis(connection_pool=pool)
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        found: Any = await self.client.get(request.COOKIES["raw"])
        request.session = json.loads(found)
        response = await self.get_response(request)
        await self.client.set(request.COOKIES["raw"], json.dumps(request.session), ex=TTL)
        response.set_cookie("raw", request.COOKIES["raw"], max_age=TTL)
        return response


def measure(uri: str, rounds: int) -> dict[str, Any]:
    user = get_user_model().objects.create(username="bench")
    data = {"_auth_user_id": str(user.pk), "pad": "x" * 250}
    client = redis.Redis.from_url(uri)
    client.set("raw", json.dumps(data))
    client.close()
    return {
        **_wsgi(data, rounds),
        **_asgi(data, rounds, 1),
        **_asgi(data, rounds, 64),
    }


def _contenders(is_async: bool) -> dict[str, dict[str, Any]]:
    raw = "benchmarks.requests.%s" % ("AsyncRawMiddleware" if is_async else "RawMiddleware")
    cache = "django.contrib.sessions.backends.cache"
    return {
        BARE: {"MIDDLEWARE": ["benchmarks.requests.NoSession", AUTH]},
        FLOOR: {"MIDDLEWARE": [raw, AUTH]},
        "this engine and middleware": {"MIDDLEWARE": [OURS, AUTH]},
        "this engine, Django's middleware": {"MIDDLEWARE": [DJANGOS, AUTH]},
        "Django cache": {"MIDDLEWARE": [DJANGOS, AUTH], "SESSION_ENGINE": cache},
        "Django cache on django-redis": {
            "MIDDLEWARE": [DJANGOS, AUTH],
            "SESSION_ENGINE": cache,
            "SESSION_CACHE_ALIAS": "django-redis",
        },
        "Django db on SQLite": {
            "MIDDLEWARE": [DJANGOS, AUTH],
            "SESSION_ENGINE": "django.contrib.sessions.backends.db",
        },
    }


def _cookie(data: dict[str, Any]) -> str:
    from importlib import import_module

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store.update(data)
    store.save()
    return "raw=raw; sessionid=%s" % store.session_key


def _in(changes: dict[str, Any], call: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with override_settings(**changes):
            return call()

    return run


def _wsgi(data: dict[str, Any], rounds: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {}
    handlers = {}
    contenders = _contenders(False)
    contenders[ASYNC_BARE] = contenders[BARE]
    contenders[ASYNC_OURS] = contenders["this engine and middleware"]
    for name, changes in contenders.items():
        with override_settings(**changes):
            handlers[name] = (WSGIHandler(), _cookie(data), changes)
        times[name] = []
    for round_ in range(rounds + 1):
        for name, (handler, cookie, changes) in handlers.items():
            with override_settings(**changes):
                started = time.perf_counter()
                for _ in range(REQUESTS):
                    _wsgi_request(handler, cookie, "/async/" if "async" in name else "/")
                took = (time.perf_counter() - started) / REQUESTS * 1e6
            if round_:
                times[name].append(took)
    return {"whole WSGI request: what the session adds": _added(times)}


def _wsgi_request(handler: WSGIHandler, cookie: str, path_info: str) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path_info,
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "HTTP_COOKIE": cookie,
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }
    status: list[str] = []
    response = handler(environ, lambda code, headers, exc_info=None: status.append(code))  # type: ignore[arg-type]
    b"".join(response)
    response.close()
    if status != ["200 OK"]:
        raise RuntimeError(status)


def _asgi(data: dict[str, Any], rounds: int, in_flight: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {name: [] for name in _contenders(True)}
    handlers = {}
    for name, changes in _contenders(True).items():
        with override_settings(**changes):
            cookies = [_cookie(data) for _ in range(in_flight)]
            handlers[name] = (ASGIHandler(), cookies, changes)

    async def worker(handler: ASGIHandler, cookie: str, number: int) -> None:
        for _ in range(number):
            await _asgi_request(handler, cookie)

    async def run() -> None:
        for round_ in range(rounds + 1):
            for name, (handler, cookies, changes) in handlers.items():
                number = max(AT_LEAST, REQUESTS // in_flight)
                with override_settings(**changes):
                    started = time.perf_counter()
                    await asyncio.gather(*(worker(handler, each, number) for each in cookies))
                    took = (time.perf_counter() - started) / (number * in_flight) * 1e6
                if round_:
                    times[name].append(took)

    asyncio.run(run())
    title = "whole ASGI request, %d at once: what the session adds" % in_flight
    return {title: _added(times)}


async def _asgi_request(handler: ASGIHandler, cookie: str) -> None:
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/async/",
        "query_string": b"",
        "headers": [(b"cookie", cookie.encode()), (b"host", b"x")],
    }
    sent: list[Any] = []
    received = asyncio.Event()

    async def receive() -> Any:
        if not received.is_set():
            received.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        return None

    async def send(message: Any) -> None:
        sent.append(message)

    await handler(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(sent[0]["status"])


def _added(times: dict[str, list[float]]) -> dict[str, Any]:
    """What each adds to a request without a session: by the medians, for a request takes much
    longer than what is added to it."""
    bare = statistics.median(times.pop(BARE))
    floor = statistics.median(times[FLOOR]) - bare
    rows = {}
    for name, values in times.items():
        added = [value - bare for value in values]
        middle = statistics.median(added)
        rows[name] = {
            "median_us": middle,
            "min_us": min(added),
            "max_us": max(added),
            "ratio": middle / floor,
        }
    return {"floor": FLOOR, "rows": rows}
