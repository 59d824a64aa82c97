"""The session middleware, under WSGI and ASGI: cookies, and on which thread the work is done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings as django_settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from django_jam_sessions import SessionStoreUnavailable
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.middleware import SessionMiddleware

pytestmark = pytest.mark.usefixtures("jam_settings")

COOKIE = django_settings.SESSION_COOKIE_NAME


def behind(view: Any) -> Any:
    return SessionMiddleware(view)


class Site:
    """One view behind the middleware, blocking or async."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def __call__(
        self, view: Any, cookie: str | None = None, status: int = 200
    ) -> tuple[HttpRequest, HttpResponse]:
        request = RequestFactory().get("/")
        if cookie is not None:
            request.COOKIES[COOKIE] = cookie
        if not self.is_async:

            def respond(request: HttpRequest) -> HttpResponse:
                steps = view(request.session)
                for name, *arguments in steps:
                    getattr(request.session, name)(*arguments)
                return getattr(request, "answer", None) or HttpResponse("x", status=status)

            return request, behind(respond)(request)

        async def arespond(request: HttpRequest) -> HttpResponse:
            for name, *arguments in view(request.session):
                await getattr(request.session, "a" + name)(*arguments)
            return getattr(request, "answer", None) or HttpResponse("x", status=status)

        async def serve() -> Any:
            return await behind(arespond)(request)

        return request, asyncio.run(serve())


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param)


def nothing(session: Any) -> list[Any]:
    return []


def put(**data: Any) -> Any:
    return lambda session: [("update", data)]


def get(session: Any) -> list[Any]:
    return [("get", "x")]


def flush(session: Any) -> list[Any]:
    return [("flush",)]


def stored(site: Site, **data: Any) -> str:
    request, response = site(put(**data))
    assert response.cookies[COOKIE].value == request.session.session_key
    return response.cookies[COOKIE].value


def test_a_session_is_stored_and_read(site: Site) -> None:
    key = stored(site, a=1)
    request, response = site(get, key)
    assert request.session["a"] == 1
    assert COOKIE not in response.cookies
    assert response.headers["Vary"] == "Cookie"


def test_a_session_that_is_not_touched_costs_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = stored(site, a=1)
    monkeypatch.setattr(configured.current(), "backend", None)
    for cookie in (None, key):
        _, response = site(nothing, cookie)
        assert "Vary" not in response.headers
        assert not response.cookies


def test_an_unknown_id_does_not_delete_the_cookie(site: Site) -> None:
    """A poll that still carries the id from before a login must not sign anybody out."""
    request, response = site(get, "0" * 40)
    assert request.session.is_empty()
    assert not response.cookies
    assert response.headers["Vary"] == "Cookie"


def test_a_flush_deletes_the_cookie(site: Site) -> None:
    key = stored(site, _auth_user_id="5")
    _, response = site(flush, key)
    assert response.cookies[COOKIE].value == ""
    assert response.cookies[COOKIE]["max-age"] == 0
    assert response.headers["Vary"] == "Cookie"
    assert SessionStore().exists(key) is False


def test_a_flush_without_a_cookie_sets_none(site: Site) -> None:
    _, response = site(flush)
    assert not response.cookies
    assert response.headers["Vary"] == "Cookie"


def test_a_new_owner_is_in_the_cookie(site: Site) -> None:
    key = stored(site, a=1)
    request, response = site(put(_auth_user_id="5"), key)
    assert response.cookies[COOKIE].value == request.session.session_key != key


@pytest.mark.parametrize(("status", "is_saved"), [(200, True), (404, True), (500, False)])
def test_nothing_is_saved_after_a_server_error(site: Site, status: int, is_saved: bool) -> None:
    key = stored(site, a=1)

    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = key

    def respond(request: HttpRequest) -> HttpResponse:
        request.session["a"] = 2
        return HttpResponse(status=status)

    async def arespond(request: HttpRequest) -> HttpResponse:
        await request.session.aset("a", 2)
        return HttpResponse(status=status)

    if site.is_async:

        async def serve() -> Any:
            return await behind(arespond)(request)

        response = asyncio.run(serve())
    else:
        response = behind(respond)(request)
    assert (COOKIE in response.cookies) is is_saved
    assert SessionStore(key)["a"] == (2 if is_saved else 1)


def renew(session: Any) -> list[Any]:
    return [("cycle_key",)]


def renew_twice(session: Any) -> list[Any]:
    return [("cycle_key",), ("cycle_key",)]


def renew_and_fill(session: Any) -> list[Any]:
    return [("cycle_key",), ("update", {"x": "x" * 1000})]


def renew_before_an_outage(session: Any) -> Iterator[Any]:
    yield ("cycle_key",)
    session.failure = SessionStoreUnavailable("It is out.")
    yield ("update", {"x": 1})


def renew_in_silence(session: Any) -> Iterator[Any]:
    yield ("cycle_key",)
    session.modified = False


@pytest.mark.parametrize(
    ("view", "status", "answered"),
    [
        (renew, 200, 200),
        (renew, 404, 404),
        (renew, 500, 500),
        (renew_twice, 500, 500),
        (renew_in_silence, 200, 200),
        (renew_and_fill, 200, 500),
        (renew_before_an_outage, 200, 503),
        (renew_before_an_outage, 403, 403),
        (renew_before_an_outage, 500, 500),
    ],
)
def test_a_new_id_is_told_with_every_answer_for_the_old_one_is_dead(
    site: Site, settings: Any, view: Any, status: int, answered: int
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "MAX_DATA_BYTES": 500}
    key = stored(site, _auth_user_id="5", _session_expiry=60)
    _, response = site(view, key, status)
    assert response.status_code == answered
    cookie = response.cookies[COOKIE]
    assert (cookie.value != key, cookie["max-age"]) == (True, 60)
    assert SessionStore(cookie.value)["_auth_user_id"] == "5"


def test_an_id_that_was_not_stored_is_told_with_no_error(site: Site) -> None:
    """The one of a new owner, at the end of a request whose changes are not saved."""
    key = stored(site, _auth_user_id="5")

    def renew_and_leave(session: Any) -> list[Any]:
        return [("cycle_key",), ("update", {"_auth_user_id": "6"})]

    _, response = site(renew_and_leave, key, 500)
    assert SessionStore(response.cookies[COOKIE].value)["_auth_user_id"] == "5"


@pytest.mark.parametrize("seconds", [0, 1, -1])
def test_a_new_id_is_told_with_the_end_that_is_stored(site: Site, seconds: int) -> None:
    """What a request that failed has set is not kept."""
    key = stored(site, _auth_user_id="5", _session_expiry=60)
    _, response = site(lambda session: [("cycle_key",), ("set_expiry", seconds)], key, 500)
    assert response.cookies[COOKIE]["max-age"] == 60


@pytest.mark.parametrize(("is_closed", "expiry"), [(False, 0), (True, None)])
def test_a_new_id_is_told_to_last_as_long_as_the_browser_is_open(
    site: Site, settings: Any, is_closed: bool, expiry: int | None
) -> None:
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = is_closed
    key = stored(site, _auth_user_id="5", _session_expiry=expiry)
    _, response = site(renew, key, 500)
    assert (response.cookies[COOKIE].value != key, response.cookies[COOKIE]["max-age"]) == (
        True,
        "",
    )


def test_who_came_without_a_session_is_told_none_with_an_error(site: Site) -> None:
    def sign_in(session: Any) -> list[Any]:
        return [("cycle_key",), ("update", {"_auth_user_id": "5"}), ("save",)]

    _, response = site(sign_in, None, 500)
    assert COOKIE not in response.cookies


def test_who_was_signed_out_is_told_no_new_id_with_an_error(site: Site) -> None:
    key = stored(site, _auth_user_id="5")
    _, response = site(lambda session: [("cycle_key",), ("flush",)], key, 500)
    assert response.cookies[COOKIE].value == ""


def test_a_session_that_ended_after_its_new_id_interrupts_the_request(site: Site) -> None:
    key = stored(site, _auth_user_id="5")

    def renew_and_end(session: Any) -> Iterator[Any]:
        yield ("cycle_key",)
        yield ("delete", session.session_key)

    with pytest.raises(SessionInterrupted):
        site(renew_and_end, key)


def test_an_ended_session_interrupts_the_request(site: Site) -> None:
    key = stored(site, _auth_user_id="5")

    def sign_out_everywhere(session: Any) -> list[Any]:
        return [("get", "x"), ("delete", key), ("update", {"a": 1})]

    with pytest.raises(SessionInterrupted):
        site(sign_out_everywhere, key)


@pytest.mark.parametrize(("expiry", "max_age"), [(None, 1_209_600), (60, 60), (0, "")])
def test_the_cookie_lives_as_long_as_the_session(site: Site, expiry: Any, max_age: Any) -> None:
    _, response = site(lambda session: [("update", {"a": 1}), ("set_expiry", expiry)])
    assert response.cookies[COOKIE]["max-age"] == max_age
    assert bool(response.cookies[COOKIE]["expires"]) is (expiry != 0)


def test_save_every_request_renews_a_session_that_was_not_touched(
    site: Site, settings: Any
) -> None:
    key = stored(site, a=1)
    settings.SESSION_SAVE_EVERY_REQUEST = True
    _, response = site(nothing, key)
    assert response.cookies[COOKIE].value == key
    assert response.headers["Vary"] == "Cookie"
    _, response = site(nothing, "0" * 40)
    assert not response.cookies


@pytest.mark.parametrize("name", ["SECURE", "HTTPONLY"])
@pytest.mark.parametrize("value", [True, False])
def test_the_cookies_settings_are_djangos(
    site: Site, settings: Any, name: str, value: bool
) -> None:
    setattr(settings, "SESSION_COOKIE_" + name, value)
    settings.SESSION_COOKIE_PATH, settings.SESSION_COOKIE_DOMAIN = "/app/", "example.com"
    _, response = site(put(a=1))
    morsel = response.cookies[COOKIE]
    assert bool(morsel[name.lower()]) is value
    assert (morsel["path"], morsel["domain"], morsel["samesite"]) == ("/app/", "example.com", "Lax")


def test_a_request_without_a_session_is_left_alone(site: Site) -> None:
    middleware = SessionMiddleware(lambda request: HttpResponse())
    request, response = RequestFactory().get("/"), HttpResponse()
    if site.is_async:
        assert asyncio.run(middleware.aprocess_response(request, response)) is response
    else:
        assert middleware.process_response(request, response) is response


def test_a_streaming_response_passes(site: Site) -> None:
    streaming = StreamingHttpResponse(iter([b"a"]))

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        request.session["a"] = 1
        return streaming

    async def astream(request: HttpRequest) -> StreamingHttpResponse:
        await request.session.aset("a", 1)
        return streaming

    request = RequestFactory().get("/")

    async def serve() -> Any:
        return await behind(astream)(request)

    response: Any = asyncio.run(serve()) if site.is_async else behind(stream)(request)
    assert response is streaming
    assert SessionStore(response.cookies[COOKIE].value)["a"] == 1


def test_under_asgi_all_is_done_on_the_loops_thread(
    monkeypatch: pytest.MonkeyPatch, settings: Any, redis_uri: str, prefix: str
) -> None:
    """No hop: neither the middleware nor, on Redis, the store leaves the event loop."""
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "redis",
        "REDIS_URI": redis_uri,
        "SESSIONS_PATH": prefix,
    }
    started: list[Any] = []
    monkeypatch.setattr(threading.Thread, "start", started.append)
    site = Site(True)
    key = stored(site, a=1)
    site(put(a=2), key)
    site(flush, key)
    assert started == []


@pytest.mark.parametrize("is_async", [False, True])
def test_the_engine_works_behind_djangos_own_middleware(is_async: bool) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return HttpResponse(str(request.session["visits"]))

    async def aview(request: HttpRequest) -> HttpResponse:
        await request.session.aset("visits", await request.session.aget("visits", 0) + 1)
        return HttpResponse(str(await request.session.aget("visits")))

    def visit(cookie: str | None) -> Any:
        request = RequestFactory().get("/")
        if cookie is not None:
            request.COOKIES[COOKIE] = cookie
        middleware: Any = DjangoSessionMiddleware(aview if is_async else view)

        async def serve() -> Any:
            return await middleware(request)

        return asyncio.run(serve()) if is_async else middleware(request)

    first = visit(None)
    key = first.cookies[COOKIE].value
    assert [first.content, visit(key).content, visit(key).content] == [b"1", b"2", b"3"]


def test_the_middleware_says_that_it_is_async() -> None:
    async def arespond(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    markcoroutinefunction(arespond)
    assert iscoroutinefunction(SessionMiddleware(arespond))
    assert not iscoroutinefunction(SessionMiddleware(lambda request: HttpResponse()))
