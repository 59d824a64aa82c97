"""Connections to Redis: shared, cancelled, silent, talking nonsense, used up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from django_jam_sessions import SessionModule, SessionStoreUnavailable
from django_jam_sessions.backends import lines
from django_jam_sessions.backends.wire import closed

from .conftest import Face


@pytest.fixture
def module(redis_uri: str, prefix: str) -> SessionModule:
    return SessionModule("redis", redis_uri=redis_uri, sessions_path=prefix)


def with_options(redis_uri: str, prefix: str, options: str, **more: Any) -> SessionModule:
    uri = "%s?%s" % (redis_uri, options)
    return SessionModule("redis", redis_uri=uri, sessions_path=prefix, **more)


@pytest.mark.parametrize("seed", range(5))
def test_a_cancelled_call_leaves_the_old_or_the_new_and_no_strangers_reply(
    module: SessionModule, seed: int
) -> None:
    dice = random.Random(seed)

    async def turns(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def run() -> None:
        ids = [await module.create("5", {"owner": n, "state": "old"}) for n in range(100)]
        for round_ in range(10):
            updates = [
                asyncio.ensure_future(module.update(each, {"owner": n, "state": round_}))
                for n, each in enumerate(ids)
            ]
            await turns(dice.randrange(6))
            cancelled = {n for n in range(100) if dice.random() < 0.5 and updates[n].cancel()}
            results = await asyncio.gather(*updates, return_exceptions=True)
            for n, each in enumerate(ids):
                found = await module.get(each)
                assert found["owner"] == n
                if n not in cancelled:
                    assert results[n] is None
                    assert found["state"] == round_

    asyncio.run(run())


def test_a_call_cancelled_while_it_connects_leaves_the_others_alone(module: SessionModule) -> None:
    session_id = module.sync.create("5", {"a": 1})

    async def run() -> None:
        calls = [asyncio.ensure_future(module.get(session_id)) for _ in range(10)]
        await asyncio.sleep(0)
        calls[0].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [{"a": 1}] * 9

    asyncio.run(run())


def test_a_silent_server_is_an_outage_after_a_while(
    redis_uri: str, prefix: str, call: Face
) -> None:
    module = with_options(redis_uri, prefix, "socket_timeout=0.2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        deaf = with_options(
            "redis://127.0.0.1:%d/0" % port, prefix, "socket_timeout=0.2&protocol=2"
        )
        started = time.monotonic()
        with pytest.raises(SessionStoreUnavailable, match="TimeoutError"):
            call(deaf, "get", "0" * 40)
        assert 0.2 < time.monotonic() - started < 2
    session_id = call(module, "create", "5", {"a": 1})
    assert call(module, "get", session_id) == {"a": 1}


def test_a_server_that_falls_silent_is_an_outage_and_comes_back(call: Face) -> None:
    from testproject.server import running

    with running() as uri, redis.Redis.from_url(uri) as client:
        module = SessionModule("redis", redis_uri=uri + "?socket_timeout=0.2")
        session_id = call(module, "create", "5", {"a": 1})
        client.execute_command("CLIENT", "PAUSE", "1500", "ALL")
        started = time.monotonic()
        with pytest.raises(SessionStoreUnavailable):
            call(module, "get", session_id)
        assert 0.2 < time.monotonic() - started < 1.4
        client.ping()  # waits for the end of the pause
        assert call(module, "get", session_id) == {"a": 1}


@pytest.fixture(params=[b"\0nonsense\r\n", b":5\r\n", b"*1\r\n:5\r\n"])
def babbler(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server that accepts the greeting and then talks nonsense."""
    nonsense: bytes = request.param
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(ConnectionResetError):  # by a client that gives up
            while request := client.recv(65536):
                if b"EVAL" in request:
                    client.sendall(nonsense)
                    continue
                client.sendall(b"+OK\r\n" * request.count(b"*"))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_server_that_talks_nonsense_is_an_outage(babbler: int, call: Face) -> None:
    module = SessionModule("redis", redis_uri="redis://127.0.0.1:%d/0?protocol=2" % babbler)
    for _ in range(2):
        with pytest.raises(SessionStoreUnavailable):
            call(module, "get", "0" * 40)


def test_more_threads_than_connections_wait(redis_uri: str, prefix: str) -> None:
    module = with_options(redis_uri, prefix, "max_connections=3")
    session_id = module.sync.create("5", {"a": 1})
    with ThreadPoolExecutor(40) as threads:
        found = threads.map(lambda _: module.sync.get(session_id), range(400))
        assert list(found) == [{"a": 1}] * 400


def test_who_waits_too_long_for_a_connection_gets_an_error(redis_uri: str, prefix: str) -> None:
    module = with_options(redis_uri, prefix, "max_connections=1&timeout=0.05")
    backend: Any = module.backend
    backend.redis._sync.get()._tickets.get()
    with pytest.raises(SessionStoreUnavailable, match="ConnectionError"):
        module.sync.get("0" * 40)


def test_it_works_without_hiredis(
    redis_uri: str, prefix: str, call: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "hiredis", None)
    module = SessionModule("redis", redis_uri=redis_uri, sessions_path=prefix)
    session_id = call(module, "create", "5", {"a": 1})
    assert call(module, "get", session_id) == {"a": 1}
    page = call(module, "keys")
    while not page and page.cursor is not None:  # others' keys are on the server too
        page = call(module, "keys", 100, page.cursor)
    assert [(info.session_key, info.count) for info in page] == [("5", 1)]
    call(module, "clear", "5")


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
def test_data_of_any_size_comes_through(module: SessionModule, call: Face, size: int) -> None:
    data = {"text": "x" * size}
    session_id = call(module, "create", "5", data)
    assert call(module, "get", session_id) == data


# TLS


@pytest.fixture
def tls_port(redis_uri: str, tmp_path: Path) -> Iterator[int]:
    """What a server with TLS is to its clients: the connection ends here, and is plain behind."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    listener = socket.create_server(("127.0.0.1", 0))
    behind = urlsplit(redis_uri).port or 6379

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError), source, target:
            while (data := source.recv(65536)) and b"-cut:" not in data:
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                wrapped = context.wrap_socket(client, server_side=True)
                server = socket.create_connection(("127.0.0.1", behind))
                for pair in ((wrapped, server), (server, wrapped)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def _certificate(directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    none = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, pkcs8, none) + certificate.public_bytes(pem))
    return path


@pytest.mark.parametrize("size", [1, 500_000])
def test_tls_is_spoken_where_the_uri_says_so(
    tls_port: int, prefix: str, call: Face, size: int
) -> None:
    uri = "rediss://127.0.0.1:%d/0" % tls_port
    options = "ssl_cert_reqs=none&ssl_check_hostname=false"
    module = with_options(uri, prefix, options, read_timeout=20, total_timeout=40)
    data = {"text": "x" * size}
    ids = [call(module, "create", "5", data) for _ in range(3)]
    assert [call(module, "get", each) for each in ids] == [data] * 3
    untrusting = SessionModule("redis", redis_uri=uri, sessions_path=prefix)
    with pytest.raises(SessionStoreUnavailable):
        call(untrusting, "get", ids[0])


def test_a_connection_with_tls_that_is_cut_is_an_outage(
    tls_port: int, prefix: str, call: Face
) -> None:
    """For all who wait for an answer on it."""
    uri = "rediss://127.0.0.1:%d/0" % tls_port
    options = "ssl_cert_reqs=none&ssl_check_hostname=false"
    module = with_options(uri, prefix + "-cut", options, read_timeout=5, total_timeout=10)
    started = time.monotonic()
    with pytest.raises(SessionStoreUnavailable):
        call(module, "get", "0" * 40)
    assert time.monotonic() - started < 4


def test_what_is_asked_on_a_connection_that_was_just_lost_fails_at_once(
    redis_uri: str, prefix: str
) -> None:
    """All wait for the same one to open, and it may be lost before the last of them goes on."""
    backend: Any = SessionModule("redis", redis_uri=redis_uri, sessions_path=prefix).backend

    async def ask() -> None:
        line = await backend.redis._async.get()
        await line.ask(("PING",), time.monotonic() + 1)
        stream = line._stream
        first = stream.send(("PING",))
        stream.lose(closed())
        await asyncio.sleep(0.05)  # the event loop has told of it
        for reply in (first, stream.send(("PING",))):
            with pytest.raises(redis.ConnectionError):
                await asyncio.wait_for(reply, 0.5)

    asyncio.run(ask())
