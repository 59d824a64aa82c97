"""Threads and tasks of one request, which use its session at the same time."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from django_jam_sessions import SessionStoreUnavailable
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.engine_writes import CONFLICTS_END
from django_jam_sessions.signals import session_ended

pytestmark = pytest.mark.usefixtures("jam_settings")


class Late:
    """The first reply of a backend's method comes when it is let. The call itself is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.is_made, self.let = threading.Event(), threading.Event()
        backend = configured.current().backend
        method: Any = getattr(backend, name)

        def blocking(*arguments: Any) -> Any:
            reply = method(*arguments)
            if not self.is_made.is_set():
                self.is_made.set()
                assert self.let.wait(10)
            return reply

        async def awaited(*arguments: Any) -> Any:
            reply = await method(*arguments)
            if not self.is_made.is_set():
                self.is_made.set()
                assert await asyncio.to_thread(self.let.wait, 10)
            return reply

        is_awaited = asyncio.iscoroutinefunction(method)
        monkeypatch.setattr(backend, name, awaited if is_awaited else blocking)

    async def meanwhile(self, first: Awaitable[Any], second: Callable[[], Awaitable[Any]]) -> None:
        """``second`` begins when the call of ``first`` is made, and some time before its reply."""
        one = asyncio.ensure_future(first)
        assert await asyncio.to_thread(self.is_made.wait, 10)
        two = asyncio.ensure_future(second())
        await asyncio.sleep(0.05)
        self.let.set()
        await asyncio.gather(one, two)


def stored(**data: Any) -> str:
    store = SessionStore()
    store.update(data)
    store.save()
    return str(store.session_key)


def count(key: str = "5") -> int:
    return configured.current().sync.count(key)


def data_of(key: str | None) -> dict[str, Any]:
    return dict(SessionStore(key).items())


def test_a_look_whose_reply_is_late_undoes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    key = stored(cart=1)
    store, theirs = SessionStore(key), SessionStore(key)
    late = Late(monkeypatch, "fetch")
    thread = threading.Thread(target=store.get, args=("cart",))
    thread.start()
    assert late.is_made.wait(10)
    theirs.update({"cart": 2, "theirs": 1})
    theirs.save()
    store["mine"] = 1
    late.let.set()
    thread.join()
    store.save()
    assert data_of(key) == {"cart": 2, "theirs": 1, "mine": 1}


def test_a_task_and_a_thread_work_on_the_same_data() -> None:
    key = stored(n=1)

    async def work(number: int) -> None:
        store = SessionStore(key)
        look = sync_to_async(lambda: store.get("n"), thread_sensitive=False)
        await asyncio.gather(look(), store.aset("mine", number))
        await store.asave()
        assert await SessionStore(key).aget("mine") == number

    async def often() -> None:
        for number in range(20):
            await work(number)

    asyncio.run(often())


@pytest.mark.parametrize("is_stored", [False, True])
def test_who_signs_in_while_the_session_is_written_is_listed_after_the_next_save(
    monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    key = stored(n=1) if is_stored else None
    store = SessionStore(key)
    late = Late(monkeypatch, "areplace" if is_stored else "ainsert")

    async def work() -> None:
        await store.aset("n", 2)
        await late.meanwhile(store.asave(), lambda: store.aset("_auth_user_id", "5"))
        assert store.owner is None
        await store.asave()

    asyncio.run(work())
    assert (store.owner, store.session_key != key, count()) == ("5", True, 1)
    configured.current().sync.clear("5")
    assert not SessionStore().exists(store.session_key)


@pytest.mark.parametrize("is_thread", [False, True])
@pytest.mark.parametrize(("first", "method"), [("asave", "areplace"), ("atouch", "atouch")])
def test_a_late_reply_takes_no_session_back_to_its_old_id(
    monkeypatch: pytest.MonkeyPatch, settings: Any, first: str, method: str, is_thread: bool
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "TOUCH_INTERVAL": 0.001}
    key = stored(_auth_user_id="5")
    store = SessionStore(key)
    late = Late(monkeypatch, method)

    async def renew() -> None:
        await (
            sync_to_async(store.cycle_key, thread_sensitive=False)
            if is_thread
            else store.acycle_key
        )()

    async def work() -> None:
        await store.aset("n", 1)
        await asyncio.sleep(0.005)
        await late.meanwhile(getattr(store, first)(), renew)
        assert store.stored_id != key
        await store.aset("m", 2)
        await store.asave()

    asyncio.run(work())
    assert data_of(store.session_key) == {"_auth_user_id": "5", "n": 1, "m": 2}
    assert count() == 1


def test_who_signs_out_while_the_session_gets_a_new_id_is_signed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = SessionStore(stored(_auth_user_id="5"))
    late = Late(monkeypatch, "amove")
    asyncio.run(late.meanwhile(store.acycle_key(), store.aflush))
    assert (count(), store.session_key, store.is_empty()) == (0, None, True)


@pytest.mark.parametrize("change", ["aset", "aflush"])
def test_what_a_request_does_while_its_save_merges_is_kept(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    key = stored(_auth_user_id="5")
    store, theirs = SessionStore(key), SessionStore(key)
    theirs["theirs"] = 1
    late = Late(monkeypatch, "areplace")

    async def work() -> None:
        await store.aset("n", 1)
        await sync_to_async(theirs.save)()
        arguments = ("m", 2) if change == "aset" else ()
        await late.meanwhile(store.asave(), lambda: getattr(store, change)(*arguments))

    asyncio.run(work())
    if change == "aflush":
        assert (count(), store.session_key, store.is_empty()) == (0, None, True)
        return
    store.save()
    assert data_of(key) == {"_auth_user_id": "5", "theirs": 1, "n": 1, "m": 2}


def test_threads_that_wait_for_their_turn_leave_those_before_them_a_thread() -> None:
    """Whatever is awaited in threads has its own: the event loop's are full of those who wait."""
    key, number = stored(n=1), 2 * (os.cpu_count() or 1) + 16

    async def save(each: int) -> None:
        store = SessionStore(key)
        await store.aget("n")
        await store.aset("n%d" % each, 1)
        is_thread = each % 2
        await (sync_to_async(store.save, thread_sensitive=False)() if is_thread else store.asave())

    async def together() -> None:
        await asyncio.gather(*map(save, range(number)))

    began = time.monotonic()
    asyncio.run(together())
    assert len(data_of(key)) == 1 + number
    assert time.monotonic() - began < CONFLICTS_END


def test_who_is_told_whose_session_gave_way_comes_in_nobodys_way(settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "MAX_SESSIONS_PER_KEY": 1}
    oldest = stored(_auth_user_id="5")
    told = []

    async def receive(**details: Any) -> None:
        told.append((details["handle"], await store.aget("z")))
        await asyncio.sleep(0.01)

    async def save_more() -> None:
        await asyncio.sleep(0.005)
        await store.aset("z", 1)
        await store.asave()

    async def work() -> None:
        await store.aset("_auth_user_id", "5")
        await asyncio.gather(store.asave(), save_more())
        await store.aflush()

    store = SessionStore()
    handle = SessionStore(oldest)
    handle.load()
    session_ended.connect(receive)
    try:
        asyncio.run(work())
    finally:
        session_ended.disconnect(receive)
    assert told[0][0] == handle.handle
    assert count() == 0


def test_the_function_of_the_settings_may_use_sessions(settings: Any) -> None:
    key, team = stored(), stored(team="9")

    def owner(data: dict[str, Any]) -> object:
        return None if "team" in data else SessionStore(team)["team"]

    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": owner}
    store = SessionStore(key)
    assert store.get("n") is None
    assert store.owner == "9"


@pytest.mark.parametrize("is_async", [False, True])
def test_who_has_a_load_of_their_own_is_asked_once(is_async: bool) -> None:
    asked = []

    class Site(SessionStore):
        def load(self) -> dict[str, Any]:
            asked.append(False)
            return {**super().load(), "own": 1}

        async def aload(self) -> dict[str, Any]:
            asked.append(True)
            return {**await super().aload(), "own": 1}

    store = Site(stored(n=1))
    got = asyncio.run(store.aget("own")) if is_async else store.get("own")
    assert (got, store["n"], asked) == (1, 1, [is_async])
    store.save()
    assert data_of(store.session_key) == {"n": 1, "own": 1}


def test_what_waits_for_its_turn_asks_no_store_that_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = SessionStore(stored(n=1))
    asked = []

    async def fail(*_: Any) -> Any:
        asked.append(1)
        await asyncio.sleep(0.01)
        raise SessionStoreUnavailable("It is out.")

    async def work() -> None:
        await store.aset("n", 2)
        monkeypatch.setattr(configured.current().backend, "areplace", fail)
        found = await asyncio.gather(*(store.asave() for _ in range(3)), return_exceptions=True)
        assert [repr(each) for each in found] == [repr(SessionStoreUnavailable("It is out."))] * 3

    asyncio.run(work())
    assert asked == [1]


def test_who_blocks_an_event_loop_does_not_wait_for_its_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    store = SessionStore(stored(n=1))
    late = Late(monkeypatch, "areplace")

    async def block() -> None:
        began = time.monotonic()
        store.save()
        assert time.monotonic() - began < 1

    async def work() -> None:
        await store.aset("n", 2)
        await late.meanwhile(store.asave(), block)

    asyncio.run(work())
    assert data_of(store.session_key) == {"n": 2}


def test_a_backend_that_raises_stop_iteration_keeps_nobody_waiting(
    jam_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if jam_settings.JAM_SESSIONS["SESSIONS_TYPE"] == "redis":
        return  # nothing of it is in a thread

    def stop(*arguments: Any) -> Any:
        raise StopIteration

    store = SessionStore(stored(n=1))
    monkeypatch.setattr(configured.current().backend, "fetch", stop)
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(asyncio.wait_for(store.aload(), 5))
