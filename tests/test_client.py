"""What is noted of a session's client, when, and that nothing loses it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from django_jam_sessions import SessionInfo, SessionStoreUnavailable, sessions
from django_jam_sessions.client import MAX_USER_AGENT, behind_proxies, describe, remote_addr
from django_jam_sessions.configured import configured
from django_jam_sessions.devices import ClientInfo, client_info, device_name
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.middleware import SessionMiddleware

from .conftest import Face

COOKIE = django_settings.SESSION_COOKIE_NAME
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def visit(call: Face, cookie: str | None, view: Any, **headers: str) -> HttpResponse:
    """One request through the middleware, from 192.0.2.7."""
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7", headers=headers or None)
    if cookie is not None:
        request.COOKIES[COOKIE] = cookie

    def respond(request: HttpRequest) -> HttpResponse:
        for name, *arguments in view:
            getattr(request.session, name)(*arguments)
        return HttpResponse()

    async def arespond(request: HttpRequest) -> HttpResponse:
        for name, *arguments in view:
            await getattr(request.session, "a" + name)(*arguments)
        return HttpResponse()

    middleware: Any = SessionMiddleware(respond if call.loop is None else arespond)
    if call.loop is None:
        return middleware(request)  # type: ignore[no-any-return]
    return call.loop.run_until_complete(middleware(request))  # type: ignore[no-any-return]


SIGN_IN = [("update", {"_auth_user_id": "5"})]
LOOK = [("get", "x")]
WRITE = [("update", {"n": 1})]


def sign_in(call: Face) -> str:
    response = visit(call, None, SIGN_IN, **{"user-agent": FIREFOX})
    return response.cookies[COOKIE].value


def only() -> SessionInfo:
    (info,) = sessions.sync.list("5")
    return info


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the store's clock run ahead, in seconds."""
    ahead = 0

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += round(seconds * 1000)
        backend = configured.current().backend
        real = type(backend).now
        monkeypatch.setattr(backend, "now", lambda: real(backend) + ahead)

        async def anow() -> int:
            return real(backend) + ahead

        monkeypatch.setattr(backend, "anow", anow)

    return move


def test_a_sign_in_notes_the_client(jam_settings: Any, call: Face) -> None:
    sign_in(call)
    client = only().client
    assert client == ClientInfo("192.0.2.7", FIREFOX)
    assert client is not None
    assert client.device == "Firefox on Windows"


def test_no_write_loses_what_was_noted(jam_settings: Any, call: Face) -> None:
    key = sign_in(call)
    background = SessionStore(key)
    call(background, "update", {"by": "a task"})
    call(background, "save")
    visit(call, key, WRITE, **{"user-agent": "curl/8"})
    store = SessionStore(key)
    call(store, "cycle_key")
    client = only().client
    assert client is not None
    assert client.user_agent == FIREFOX


def test_a_sign_in_notes_the_client_that_signs_in(jam_settings: Any, call: Face) -> None:
    """Not the one that the anonymous session was begun with."""
    begun = visit(call, None, WRITE, **{"user-agent": "curl/8"}).cookies[COOKIE].value
    visit(call, begun, SIGN_IN, **{"user-agent": FIREFOX})
    assert only().client == ClientInfo("192.0.2.7", FIREFOX)
    store = SessionStore()
    store.describe = lambda: ClientInfo("192.0.2.7", FIREFOX)
    call(store, "save")
    store.describe = None
    call(store, "update", {"_auth_user_id": "6"})
    call(store, "save")
    (info,) = sessions.sync.list("6")
    assert info.client is None


@pytest.mark.parametrize(
    ("view", "then"),
    [(LOOK, LOOK), (WRITE, WRITE), (WRITE, [("update", {"n": 2})])],
    ids=["reads", "writes-the-same", "writes"],
)
def test_a_client_that_changed_is_noted_with_the_next_touch(
    jam_settings: Any, call: Face, later: Any, view: Any, then: Any
) -> None:
    key = sign_in(call)
    visit(call, key, view, **{"user-agent": "curl/8"})
    assert only().client == ClientInfo("192.0.2.7", FIREFOX)
    later(301)
    visit(call, key, then, **{"user-agent": "curl/8"})
    assert only().client == ClientInfo("192.0.2.7", "curl/8")
    assert call(SessionStore(key), "get", "_auth_user_id") == "5"


def test_a_read_is_noted_once_per_interval_and_extends_nothing(
    jam_settings: Any, call: Face, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    touches = []
    real = SessionStore._touch

    def touch(store: SessionStore) -> Any:
        seen = store._stored
        result = yield from real(store)
        if store._stored is not seen:
            touches.append(result)
        return result

    monkeypatch.setattr(SessionStore, "_touch", touch)
    default = settings.JAM_SESSIONS
    key = sign_in(call)
    expires = only().expires_at
    for _ in range(5):
        assert COOKIE not in visit(call, key, LOOK).cookies
    assert touches == []
    settings.JAM_SESSIONS = {**default, "TOUCH_INTERVAL": 1e-9}
    while not touches:  # until a millisecond has gone by
        assert COOKIE not in visit(call, key, LOOK).cookies
    settings.JAM_SESSIONS = default
    visit(call, key, LOOK)
    assert touches == [False]
    now_expires = only().expires_at
    assert expires is not None
    assert now_expires is not None
    assert abs((now_expires - expires).total_seconds()) < 0.1


def test_sliding_extends_the_session_and_its_cookie(
    jam_settings: Any, call: Face, later: Any, settings: Any
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SLIDING": True}
    key = sign_in(call)
    assert COOKIE not in visit(call, key, LOOK).cookies
    later(301)
    response = visit(call, key, LOOK)
    assert response.cookies[COOKIE].value == key
    assert response.cookies[COOKIE]["max-age"] == settings.SESSION_COOKIE_AGE


def test_nothing_is_stored_where_nothing_is_wanted(
    jam_settings: Any, call: Face, settings: Any
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "CLIENT_INFO": False}
    sign_in(call)
    assert only().client is None


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("192.0.2.7", "192.0.2.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_an_address_may_be_truncated(settings: Any, address: str, stored: str) -> None:
    settings.JAM_SESSIONS = {"CLIENT_INFO": "truncated"}
    found = describe(RequestFactory().get("/", REMOTE_ADDR=address))
    assert found is not None
    assert found.ip == stored


def test_what_a_client_claims_is_not_its_address() -> None:
    request = RequestFactory().get(
        "/", REMOTE_ADDR="192.0.2.7", headers={"x-forwarded-for": "10.0.0.1"}
    )
    assert remote_addr(request) == "192.0.2.7"


@pytest.mark.parametrize(
    ("count", "header", "address"),
    [
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1, 203.0.113.9", "203.0.113.9"),
        (2, "10.0.0.1, 203.0.113.9, 198.51.100.1", "203.0.113.9"),
        (2, "203.0.113.9", ""),
        (1, "nonsense", ""),
        (1, "", ""),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "fe80::1%<script>", "fe80::1"),
    ],
)
def test_proxies_are_counted_from_the_right(count: int, header: str, address: str) -> None:
    request = RequestFactory().get("/", headers={"x-forwarded-for": header})
    assert behind_proxies(count)(request) == address


def test_no_proxies_are_no_function() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        behind_proxies(0)
    with pytest.raises(TypeError, match="number of your proxies"):
        behind_proxies(RequestFactory().get("/"))  # type: ignore[arg-type]


def test_a_user_agent_is_shortened_and_holds_no_controls() -> None:
    agent = "a\r\nb\x00\x1b[31m" + "x" * 10_000
    found = describe(RequestFactory().get("/", headers={"user-agent": agent}))
    assert found is not None
    assert len(found.user_agent) == MAX_USER_AGENT
    assert found.user_agent.startswith("a b [31m")


@pytest.mark.parametrize(
    "value", [None, "x", ["::1"], ["::1", 5], ["::1", "x", "y"], {"ip": "::1"}, ["::1", "\ud800"]]
)
def test_what_is_no_description_is_not_shown(value: object) -> None:
    """Somebody edited the record, say: a page can't be made of a lone surrogate."""
    assert client_info(value) is None
    assert client_info(["::1", "x"]) == ClientInfo("::1", "x")


def test_a_device_has_a_name_without_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_jam_sessions.devices.parse", None)
    name = device_name.__wrapped__
    assert name("") == ""
    assert name("curl/8") == "curl/8"
    assert name("x" * 100) == "x" * 59 + "…"


def test_a_user_agent_that_nobody_knows_is_its_own_name() -> None:
    assert device_name("curious/1") == "curious/1"


def test_a_touch_that_fails_fails_no_request(
    jam_settings: Any, call: Face, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = sign_in(call)
    later(301)
    backend: Any = configured.current().backend

    def full(*arguments: Any) -> Any:
        raise SessionStoreUnavailable("The server is full.")

    async def afull(*arguments: Any) -> Any:
        raise SessionStoreUnavailable("The server is full.")

    monkeypatch.setattr(backend, "touch", full)
    monkeypatch.setattr(backend, "atouch", afull)
    assert visit(call, key, LOOK).status_code == 200


def test_a_description_that_is_none_is_none(jam_settings: Any) -> None:
    """SessionModule's own sessions have no client."""
    asyncio.run(sessions.create("5", {}))
    assert only().client is None
