"""Writers of one session, each with a key of its own: nothing that one of them wrote is lost."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_jam_sessions import merge
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from .model import values

WRITERS, TIMES = 50, 20
SLOWEST = 2.0  # seconds

spawn = multiprocessing.get_context("spawn")


def counted(key: str | None) -> dict[str, Any]:
    data = SessionStore(key).load()
    data.pop("_auth_user_id")
    return data


def session() -> str | None:
    store = SessionStore()
    store["_auth_user_id"] = "5"
    store.save()
    key: str | None = store.session_key
    return key


def increment(key: str | None, number: int) -> None:
    name = "writer %d" % number
    for _ in range(TIMES):
        store = SessionStore(key)
        store[name] = store.get(name, 0) + 1
        store.save()


async def aincrement(key: str | None, number: int) -> float:
    """The seconds that the slowest of its saves took."""
    name, slowest = "writer %d" % number, 0.0
    for _ in range(TIMES):
        store = SessionStore(key)
        await store.aset(name, await store.aget(name, 0) + 1)
        begin = time.monotonic()
        await store.asave()
        slowest = max(slowest, time.monotonic() - begin)
    return slowest


# Sealed or not, they meet in the same places.
only_plain = pytest.mark.parametrize("is_session_crypt", [False], ids=["plain"])
EVERYTHING = {"writer %d" % number: TIMES for number in range(WRITERS)}


@only_plain
@pytest.mark.usefixtures("jam_settings")
def test_threads_lose_nothing() -> None:
    key = session()
    with ThreadPoolExecutor(WRITERS) as pool:
        for future in [pool.submit(increment, key, number) for number in range(WRITERS)]:
            future.result()
    assert counted(key) == EVERYTHING


def other_process(options: dict[str, Any], key: str | None, numbers: range) -> None:
    settings.JAM_SESSIONS = options
    configured.forget(setting="JAM_SESSIONS")
    with ThreadPoolExecutor(len(numbers)) as pool:
        for future in [pool.submit(increment, key, number) for number in numbers]:
            future.result()


@only_plain
def test_processes_lose_nothing(jam_settings: Any) -> None:
    key, half = session(), WRITERS // 2
    arguments = jam_settings.JAM_SESSIONS, key, range(half, WRITERS)
    process = spawn.Process(target=other_process, args=arguments)
    process.start()
    other_process(jam_settings.JAM_SESSIONS, key, range(half))
    process.join(120)
    assert process.exitcode == 0
    assert counted(key) == EVERYTHING


@only_plain
@pytest.mark.usefixtures("jam_settings")
def test_tasks_lose_nothing_and_none_waits_long() -> None:
    key = session()

    async def together() -> list[float]:
        return await asyncio.gather(*(aincrement(key, number) for number in range(WRITERS)))

    slowest = max(asyncio.run(together(), debug=False))
    assert counted(key) == EVERYTHING
    assert slowest < SLOWEST


# The merge itself

names = st.sampled_from("abcdef")
datas = st.dictionaries(names, st.integers(0, 2) | values)
GONE = object()


@hypothesis_settings(deadline=None, database=None, print_blob=True)
@given(base=datas, mine=datas, theirs=datas)
def test_each_key_is_mine_where_i_changed_it_and_theirs_otherwise(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    before = [dict(each) for each in (base, mine, theirs)]
    merged = merge.merge(base, mine, theirs, SessionStore()._dumps)
    for name in "abcdef":
        old, here, there = (each.get(name, GONE) for each in (base, mine, theirs))
        # What is the same stays the object that is here: a view may be changing it.
        is_mine = stored(old) != stored(here) or stored(here) == stored(there)
        assert merged.get(name, GONE) is (here if is_mine else there)
    assert [base, mine, theirs] == before


def stored(value: Any) -> Any:
    """As JSON tells values apart: 1, 1.0 and True are three."""
    return value if value is GONE else SessionStore()._dumps(value)


@hypothesis_settings(deadline=None, database=None, print_blob=True)
@given(mine=datas, theirs=datas)
def test_who_changed_nothing_takes_theirs_and_who_is_alone_keeps_mine(
    mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    dumps = SessionStore()._dumps
    assert merge.merge(mine, mine, theirs, dumps) == theirs
    assert merge.merge(theirs, mine, theirs, dumps) == mine


@pytest.mark.usefixtures("jam_settings")
def test_a_value_changed_in_place_survives_and_so_does_a_deletion(call: Any) -> None:
    first = SessionStore()
    first.update({"_auth_user_id": "5", "cart": {"apples": [1]}, "old": 1, "theirs": 1})
    call(first, "save")
    late, early = SessionStore(first.session_key), SessionStore(first.session_key)
    call(late, "get", "cart")["apples"].append(2)
    late.modified = True
    call(late, "pop", "old")
    call(early, "update", {"theirs": 2})
    call(early, "save")
    call(late, "save")
    expected = {"_auth_user_id": "5", "cart": {"apples": [1, 2]}, "theirs": 2}
    assert call(SessionStore(first.session_key), "load") == expected


@only_plain
@pytest.mark.usefixtures("jam_settings")
@pytest.mark.parametrize("name", ["save", "cycle_key"])
def test_what_a_view_holds_can_be_changed_after_a_conflict(call: Any, name: str) -> None:
    first = SessionStore()
    first.update({"_auth_user_id": "5", "cart": ["apples"], "mine": 1})
    call(first, "save")
    late, early = SessionStore(first.session_key), SessionStore(first.session_key)
    cart = call(late, "get", "cart")
    late["mine"] = 2
    call(early, "update", {"theirs": 2})
    call(early, "save")
    call(late, name)
    cart.append("pears")
    late.modified = True
    call(late, "save")
    expected = {"_auth_user_id": "5", "cart": ["apples", "pears"], "mine": 2, "theirs": 2}
    assert call(SessionStore(late.session_key), "load") == expected


@pytest.mark.usefixtures("jam_settings")
def test_a_save_without_a_conflict_is_one_write(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = SessionStore()
    first["_auth_user_id"] = "5"
    call(first, "save")
    store = SessionStore(first.session_key)
    call(store, "get", "a")
    store["a"] = 1
    calls: list[str] = []
    backend = configured.current().backend
    for name in ("fetch", "replace", "touch", "move", "insert"):
        twin = name if call.loop is None else "a" + name
        method = getattr(backend, twin)

        def noted(*args: Any, method: Any = method, name: str = name) -> Any:
            calls.append(name)
            return method(*args)

        monkeypatch.setattr(backend, twin, noted)
    call(store, "save")
    assert calls == ["replace"]
