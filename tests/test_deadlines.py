"""How long anybody waits for a server that does not answer, and what is made of a lost reply."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio
from django.contrib.sessions.backends.base import UpdateError
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from django_jam_sessions import (
    SessionModule,
    SessionNotFoundError,
    SessionStoreUnavailable,
)
from django_jam_sessions.backends import redis as redis_backend
from django_jam_sessions.backends import scripts
from django_jam_sessions.codec import (
    ENGINE,
    PLAIN,
    Record,
    issue,
    locator_of,
    new_version,
    place_of,
)
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.middleware import SessionMiddleware
from django_jam_sessions.patience import DEFAULTS

from .conftest import Face
from .faults.servers import Server
from .faults.soak.samples import of_worker
from .proxy import Proxy

MOST = 2.5  # seconds that a request may lose
MANY = 200
SignIn = Callable[[Face, str], SessionStore]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


@pytest.fixture
def proxy(redis_uri: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(redis_uri).port or 6379) as proxy:
        yield proxy


def seconds_until_unavailable(ask: Callable[[], Any]) -> float:
    started = time.monotonic()
    with pytest.raises(SessionStoreUnavailable):
        ask()
    return time.monotonic() - started


async def aseconds_until_unavailable(asked: Any) -> float:
    started = time.monotonic()
    with pytest.raises(SessionStoreUnavailable):
        await asked
    return time.monotonic() - started


# A frozen server: it accepts connections, and says nothing. A busy machine adds to a wait and takes
# nothing from it, so the best of three counts.


def longest_of_threads(threads: ThreadPoolExecutor, module: SessionModule) -> float:
    ask = module.sync.count
    return max(threads.map(lambda n: seconds_until_unavailable(lambda: ask("5")), range(MANY)))


def shortest(measure: Callable[[], float]) -> float:
    found = MOST
    for _ in range(3):
        found = min(found, measure())
        if found < MOST:
            break
    return found


@pytest.mark.parametrize("is_warm", [True, False], ids=["connected", "not connected"])
def test_200_threads_have_their_error_in_time(server: Server, is_warm: bool) -> None:
    module = SessionModule("redis", redis_uri=server.uri)
    with ThreadPoolExecutor(MANY) as threads:
        if is_warm:
            list(threads.map(lambda n: module.sync.create("5", {}), range(MANY)))
        server.freeze()
        assert shortest(lambda: longest_of_threads(threads, module)) < MOST
        server.thaw()
        assert module.sync.count("5") == (MANY if is_warm else 0)


@pytest.mark.parametrize("is_warm", [True, False], ids=["connected", "not connected"])
def test_200_tasks_have_their_error_in_time(server: Server, is_warm: bool) -> None:
    module = SessionModule("redis", redis_uri=server.uri)

    async def run() -> None:
        if is_warm:
            await module.create("5", {})
        server.freeze()
        longest = MOST
        for _ in range(3):
            asked = (aseconds_until_unavailable(module.count("5")) for _ in range(MANY))
            longest = min(longest, max(await asyncio.gather(*asked)))
            if longest < MOST:
                break
        assert longest < MOST
        server.thaw()
        assert await module.count("5") == is_warm

    asyncio.run(run(), debug=False)  # it is not the time of the debug mode that is asked for


def test_a_client_of_ones_own_without_timeouts_is_bounded(server: Server, call: Face) -> None:
    def client(is_async: bool) -> Any:
        library: Any = redis.asyncio if is_async else redis
        return library.Redis(port=server.port, socket_timeout=None, socket_connect_timeout=None)

    module = SessionModule("redis", redis_uri=client, total_timeout=0.5)
    session_id = call(module, "create", "5", {})
    server.freeze()
    for _ in range(2):
        assert 0.3 < seconds_until_unavailable(lambda: call(module, "get", session_id)) < 1
    server.thaw()
    assert call(module, "get", session_id) == {}


def test_without_retries_one_timeout_is_all(server: Server, call: Face) -> None:
    module = SessionModule("redis", redis_uri=server.uri, read_timeout=0.3, retries=0)
    call(module, "count", "5")
    server.freeze()
    assert 0.2 < seconds_until_unavailable(lambda: call(module, "count", "5")) < 0.6


@pytest.mark.parametrize("method", ["keys", "purge", "list", "clear", "create", "clear_others"])
def test_every_method_ends_in_time(server: Server, call: Face, method: str) -> None:
    module = SessionModule("redis", redis_uri=server.uri, read_timeout=0.2, total_timeout=0.5)
    arguments: tuple[Any, ...] = {"keys": (), "purge": (), "create": ("5", {})}.get(method, ("5",))
    if method == "clear_others":
        arguments = (call(module, "create", "5", {}),)
    call(module, "count", "5")
    server.freeze()
    assert seconds_until_unavailable(lambda: call(module, method, *arguments)) < 0.9


# A server that is slow to death


@pytest.fixture
def trickle() -> Iterator[int]:
    """The port of a server that sends a byte of its reply now and then, and never all of them."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve(client: socket.socket) -> None:
        with client:
            while not over.is_set() and (request := client.recv(65536)):
                if b"EVAL" not in request:
                    client.sendall(b"+OK\r\n" * request.count(b"*"))
                    continue
                client.sendall(b"$999\r\n")
                while not over.wait(0.05):
                    client.sendall(b"x")

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=quietly, args=(serve, client), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    over.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def quietly(serve: Callable[[socket.socket], None], client: socket.socket) -> None:
    try:
        serve(client)
    except OSError:
        client.close()


def test_a_reply_that_trickles_ends_in_time(trickle: int, call: Face) -> None:
    uri = "redis://127.0.0.1:%d/0?protocol=2" % trickle
    module = SessionModule("redis", redis_uri=uri, total_timeout=0.8)
    assert seconds_until_unavailable(lambda: call(module, "get", "0" * 40)) < 1.2


def test_a_handshake_that_lasts_ends_in_time(call: Face) -> None:
    """Each of its steps is answered before the read timeout, and still it must end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=quietly, args=(slow_greeting, listener), daemon=True).start()
        port = listener.getsockname()[1]
        uri = "redis://x:y@127.0.0.1:%d/7?protocol=2&client_name=z" % port
        module = SessionModule("redis", redis_uri=uri, total_timeout=0.8)
        assert seconds_until_unavailable(lambda: call(module, "count", "5")) < 1.2


def slow_greeting(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client:
        while request := client.recv(65536):
            for _ in range(request.count(b"*")):
                time.sleep(0.3)
                client.sendall(b"+OK\r\n")


# What is lost counts for the whole request


@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
def test_a_request_loses_no_more_than_the_total(
    proxy: Proxy, prefix: str, settings: Any, is_async: bool
) -> None:
    """One that goes on after the first reply that was lost has less to lose for the rest."""
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "redis",
        "REDIS_URI": "redis://127.0.0.1:%d/0" % proxy.port,
        "SESSIONS_PATH": prefix,
        "READ_TIMEOUT": 0.5,
        "TOTAL_TIMEOUT": 1.2,
    }
    store = SessionStore()
    store["x"] = 1
    store.save()
    request = RequestFactory().get("/")
    request.COOKIES["sessionid"] = store.session_key or ""
    proxy.is_silent, proxy.only = True, b"EVALSHA"

    def view(request: HttpRequest) -> HttpResponse:
        proxy.lose = 1
        assert request.session["x"] == 1  # at the second attempt
        assert proxy.lose == 0
        proxy.lose = 9
        request.session["x"] = 2
        return HttpResponse()

    async def aview(request: HttpRequest) -> HttpResponse:
        proxy.lose = 1
        assert await request.session.aget("x") == 1
        proxy.lose = 9
        await request.session.aset("x", 2)
        return HttpResponse()

    async def serve() -> Any:
        return await SessionMiddleware(aview)(request)

    started = time.monotonic()
    response = asyncio.run(serve()) if is_async else SessionMiddleware(view)(request)
    assert response.status_code == 503
    assert 0.9 < time.monotonic() - started < 1.5


def test_a_long_request_may_ask_as_often_as_it_likes(
    redis_uri: str, prefix: str, call: Face
) -> None:
    """Only what failed attempts take is counted."""
    module = SessionModule("redis", redis_uri=redis_uri, sessions_path=prefix, total_timeout=0.3)
    started = time.monotonic()
    while time.monotonic() - started < 0.5:
        call(module, "count", "5")


# A reply that is lost, and not a word of it


CALLS: dict[str, tuple[Any, ...]] = {
    "create": ("6", {}),
    "get": ("id",),
    "update": ("id", {"b": 2}),
    "delete": ("id",),
    "rework": ("id",),
    "clear": ("5",),
    "clear_others": ("id",),
    "end": ("5", "handle"),
}


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "cut"])
@pytest.mark.parametrize("is_crypt", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("method", CALLS)
def test_a_lost_reply_is_made_good(
    proxy: Proxy, prefix: str, call: Face, method: str, is_crypt: bool, is_silent: bool
) -> None:
    module = SessionModule(
        "redis",
        redis_uri="redis://127.0.0.1:%d/0" % proxy.port,
        sessions_path=prefix,
        is_session_crypt=is_crypt,
        session_aes_secret=b"s" * 32,
        read_timeout=0.4 if is_silent else 1.0,  # a busy machine is slow, too
    )
    session_id, other = (call(module, "create", "5", {"a": n}) for n in (1, 2))
    (info,) = (each for each in call(module, "list", "5", session_id) if each.is_current)
    given = {"id": session_id, "handle": info.handle}
    arguments = [given.get(each, each) if isinstance(each, str) else each for each in CALLS[method]]
    warm(module, call)
    proxy.is_silent, proxy.lose = is_silent, 1
    proxy.only = b"UNLINK" if method == "clear" else b"EVALSHA"
    result = call(module, method, *arguments)
    assert proxy.lose == 0
    left = {"create": (2, 1), "delete": (1, 0), "end": (1, 0), "clear_others": (1, 0)}
    expected = (0, 0) if method == "clear" else left.get(method, (2, 0))
    assert (call(module, "count", "5"), call(module, "count", "6")) == expected
    if method in ("delete", "rework", "clear", "end"):
        with pytest.raises(SessionNotFoundError):
            call(module, "get", session_id)
    if method == "rework":
        assert call(module, "get", result) == {"a": 1}
    if method == "update":
        assert call(module, "get", session_id) == {"b": 2}
    if method != "clear" and method != "clear_others":
        assert call(module, "get", other) == {"a": 2}


def warm(module: SessionModule, call: Face) -> None:
    """The server knows the scripts, so that each call is one EVALSHA."""
    ids = [call(module, "create", "warm", {}) for _ in range(3)]
    call(module, "update", ids[0], {})
    call(module, "delete", ids[1])
    call(module, "clear_others", call(module, "rework", ids[0]))
    call(module, "clear", "warm")


@pytest.fixture
def sign_in(proxy: Proxy, prefix: str, settings: Any) -> SignIn:
    """A session that is on its way to its owner; the proxy is there for what comes next."""
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "redis",
        "REDIS_URI": "redis://127.0.0.1:%d/0" % proxy.port,
        "SESSIONS_PATH": prefix,
    }

    def sign_in(call: Face, owner: str) -> SessionStore:
        store = SessionStore()
        call(store, "update", {"cart": 1})
        call(store, "save")
        call(store, "update", {"_auth_user_id": owner})
        return store

    return sign_in


@pytest.mark.parametrize("lost", ["insert", "removal"])
@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
def test_a_login_that_fails_half_way_leaves_nothing_that_nobody_has_the_id_of(
    proxy: Proxy, call: Face, sign_in: SignIn, lost: str, is_done: bool
) -> None:
    """It is the old state or the new one, and the new one is ended at the next login."""
    module = configured.current()
    store = sign_in(call, "5")
    key = store._stored_key
    call(sign_in(call, "9"), "save")  # the server knows the scripts
    script = scripts.INSERT if lost == "insert" else scripts.REMOVE
    proxy.only, proxy.lose, proxy.is_deaf = script.sha.encode(), 2, not is_done
    with pytest.raises(SessionStoreUnavailable):
        call(store, "save")
    assert proxy.lose == 0
    is_moved = lost == "removal" and is_done
    assert call(SessionStore(key), "get", "cart") == (None if is_moved else 1)
    call(sign_in(call, "6"), "save")
    assert call(module, "count", "5") == 0
    assert call(SessionStore(key), "get", "cart") == (None if is_moved else 1)


@pytest.mark.parametrize("script", [scripts.INSERT, scripts.MOVE, scripts.REMOVE])
def test_what_comes_after_its_callers_patience_gives_nobody_another_id(
    proxy: Proxy, call: Face, sign_in: SignIn, settings: Any, script: scripts.Script
) -> None:
    """Neither a sign-in nor a new id is made where the answer was 503."""
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "TOTAL_TIMEOUT": 0.3}
    module = configured.current()
    store = sign_in(call, "5")
    call(store, "save")
    call(store, "cycle_key")  # the server knows the scripts
    store = sign_in(call, "6")
    if script is scripts.MOVE:
        call(store, "save")
    key = store._stored_key
    proxy.only, proxy.lose, proxy.is_deaf = script.sha.encode(), 2, True
    with pytest.raises(SessionStoreUnavailable):
        call(store, "cycle_key" if script is scripts.MOVE else "save")
    assert len(proxy.late) == 2
    time.sleep(0.31)
    proxy.deliver()
    assert call(SessionStore(key), "get", "cart") == 1
    assert call(module, "count", "6") == (script is not scripts.INSERT)
    call(sign_in(call, "7"), "save")  # tidies
    assert call(module, "count", "6") == (script is scripts.MOVE)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_refuses_nothing(
    call: Face, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    call(sign_in(call, "5"), "save")
    clock = redis_backend._clock
    monkeypatch.setattr(redis_backend, "_clock", lambda: clock() + hours * 3_600_000)
    store = sign_in(call, "5")
    call(store, "save")
    call(store, "cycle_key")
    assert call(configured.current(), "count", "5") == 2


def test_a_server_that_calls_everything_late_is_unavailable(call: Face, sign_in: SignIn) -> None:
    call(sign_in(call, "5"), "save")
    backend: Any = configured.current().backend
    backend._timeouts = backend._timeouts._replace(read=-1)
    with pytest.raises(SessionStoreUnavailable, match="too late"):
        sign_in(call, "6")


def test_a_process_that_has_only_read_asks_the_server_for_the_time(
    proxy: Proxy, call: Face, sign_in: SignIn
) -> None:
    """Before what has a deadline."""
    store = sign_in(call, "5")
    backend: Any = configured.current().backend
    backend._offset = None
    call(store, "save")
    assert backend._offset is not None


def test_the_tidying_spares_what_was_stored_anew(call: Face, sign_in: SignIn) -> None:
    """A sign-in that is tried again after a conflict has the same id as before it."""
    store = sign_in(call, "5")
    call(store, "save")
    backend: Any = configured.current().backend
    place = place_of(store.session_key)
    assert place is not None
    backend._strays.append((place, bytes(8)))
    call(sign_in(call, "6"), "save")
    assert not backend._strays
    assert call(configured.current(), "count", "5") == 1


@pytest.mark.parametrize("method", ["_insert", "_move"])
def test_who_is_cancelled_while_tidying_up_leaves_what_nobody_is_told_the_id_of_to_the_next(
    sign_in: SignIn, method: str
) -> None:
    call = Face(None)
    sign_in(call, "6")
    backend: Any = configured.current().backend
    source, target = (issue(locator_of(each), ENGINE, None).place for each in (b"1", b"2"))
    record = Record(ENGINE, PLAIN, new_version(), 0, 0, 0, 0, b"{}", b"{}")
    backend._strays.append((source, record.version))
    places = [target] if method == "_insert" else [source, target]
    extra = [record, None, None] if method == "_insert" else [record, None, None, None]
    steps = getattr(backend, method)(*places, *extra)
    assert next(steps)[1] is scripts.INSERT
    now = backend.now()
    if method == "_move":
        assert steps.send(now)[1] is scripts.REMOVE
    assert steps.send(now)[1] is scripts.REMOVE  # the tidying
    with pytest.raises(asyncio.CancelledError):
        steps.throw(asyncio.CancelledError())
    assert (target, record.version) in backend._strays


def test_a_login_that_is_refused_after_all_takes_its_insert_back(
    call: Face, sign_in: SignIn
) -> None:
    store = sign_in(call, "5")
    key = store._stored_key
    call(SessionStore(key), "delete", key)
    with pytest.raises(UpdateError):
        call(store, "save")
    assert call(configured.current(), "count", "5") == 0


@pytest.mark.parametrize("turns", range(12))
def test_a_cancelled_login_leaves_the_old_state_or_the_new(
    prefix: str, settings: Any, redis_uri: str, turns: int
) -> None:
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "redis",
        "REDIS_URI": redis_uri,
        "SESSIONS_PATH": prefix,
    }

    async def run() -> None:
        anonymous = SessionStore()
        await anonymous.aset("cart", 1)
        await anonymous.asave()
        store = SessionStore(anonymous.session_key)
        await store.aset("_auth_user_id", "5")
        new_key = store.session_key
        login = asyncio.ensure_future(store.asave())
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        login.cancel()
        await asyncio.gather(login, return_exceptions=True)
        old = await SessionStore(anonymous.session_key).aget("cart")
        new = await SessionStore(new_key).aget("cart")
        assert 1 in (old, new)  # both, between the two calls
        other = SessionStore()
        await other.aset("_auth_user_id", "6")
        await other.asave()  # tidies
        assert await SessionStore(anonymous.session_key).aget("cart") == old
        is_told = login.done() and not login.cancelled()
        assert await configured.current().count("5") == is_told

    asyncio.run(run())


def test_idle_connections_that_a_restart_has_cut_are_no_outage(server: Server) -> None:
    """Each of ten threads meets a dead connection, and none of them a second one."""
    module = SessionModule("redis", redis_uri=server.uri)
    barrier = threading.Barrier(10)

    def ask(number: int) -> int:
        barrier.wait()
        return module.sync.count("5")

    with ThreadPoolExecutor(10) as threads:
        for _ in range(3):
            for _ in range(5):
                assert list(threads.map(ask, range(10))) == [0] * 10
            server.stop()
            server.start()


@pytest.mark.skipif(sys.platform != "linux", reason="It looks at /proc.")
def test_connections_that_a_restart_has_cut_are_closed(server: Server) -> None:
    """All, and not only the one that is used next."""
    module = SessionModule("redis", redis_uri=server.uri, read_timeout=10, total_timeout=20)
    module.sync.count("5")
    assert connections_of_five_at_once(server, module) == 5
    server.stop()
    server.start()
    assert module.sync.count("5") == 0
    assert connections(server) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="It looks at /proc.")
def test_threads_that_begin_at_once_share_their_connections(server: Server) -> None:
    def client(is_async: bool) -> redis.Redis:
        time.sleep(0.1)  # for all five to come in here
        return redis.Redis(port=server.port)

    module = SessionModule("redis", redis_uri=client, total_timeout=20)
    assert connections_of_five_at_once(server, module) == 5
    assert connections_of_five_at_once(server, module) == 5


def connections_of_five_at_once(server: Server, module: SessionModule) -> float:
    with ThreadPoolExecutor(5) as threads:
        server.freeze()
        asked = [threads.submit(module.sync.count, "5") for _ in range(5)]
        until = time.monotonic() + 5
        while connections(server) < 5 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.3)
        server.thaw()
        assert [each.result() for each in asked] == [0] * 5
    return connections(server)


def connections(server: Server) -> float:
    return of_worker(os.getpid(), server.port)["connections"]


# The settings


@pytest.mark.parametrize(
    "wrong",
    [{"connect_timeout": 0}, {"read_timeout": None}, {"total_timeout": "1"}, {"retries": 3}],
)
def test_a_timeout_that_is_none_is_an_error(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ImproperlyConfigured, match=name):
        SessionModule("redis", **wrong)


def test_the_defaults_keep_a_request_under_two_and_a_half_seconds() -> None:
    assert DEFAULTS.connect == DEFAULTS.read == 1
    assert DEFAULTS.retries == 1
    assert DEFAULTS.total < MOST


def test_a_sentinel_that_is_not_there_is_not_asked_time_and_again(call: Face) -> None:
    module = SessionModule("redis", redis_uri="redis+sentinel://127.0.0.1:1/x/0")
    started = time.monotonic()
    with pytest.raises(SessionStoreUnavailable):
        call(module, "count", "5")
    assert time.monotonic() - started < 1
