"""Writers that meet: other processes, other threads, and interleavings made on purpose."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError

from django_jam_sessions import SessionModule, SessionNotFoundError
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

PROCESSES, ROUNDS = 8, 200
INTERLEAVINGS = 1000

spawn = multiprocessing.get_context("spawn")  # no fork: a process as another worker is one


def create_and_update(options: dict[str, Any], number: int, ids: Any) -> None:
    module = SessionModule(**options)
    made = []
    for round_ in range(ROUNDS):
        session_id = module.sync.create("5", {"process": number})
        module.sync.update(session_id, {"process": number, "round": round_})
        made.append(session_id)
    ids.put((number, made))


def run_processes(target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
    processes = [spawn.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def test_processes_that_write_one_key_lose_nothing(store: dict[str, Any]) -> None:
    """8 processes, 200 creates and 200 updates each."""
    with spawn.Manager() as manager:
        ids = manager.Queue()
        run_processes(create_and_update, [(store, n, ids) for n in range(PROCESSES)])
        made = dict(ids.get() for _ in range(PROCESSES))
    module = SessionModule(**store)
    for number, session_ids in made.items():
        for round_, session_id in enumerate(session_ids):
            assert module.sync.get(session_id) == {"process": number, "round": round_}
    assert module.sync.count("5") == PROCESSES * ROUNDS


def write_until_stopped(options: dict[str, Any], started: Any, stop: Any, ids: Any) -> None:
    module = SessionModule(**options)
    made = []
    while not stop.is_set():
        session_id = module.sync.create("5", {})
        made.append(session_id)
        try:
            made.append(module.sync.rework(session_id))
            module.sync.update(made[-1], {"a": 1})
        except SessionNotFoundError:
            pass  # it was cleared meanwhile
        started.set()
    ids.put(made)


def test_clear_ends_every_id_issued_before_it_among_8_writers(store: dict[str, Any]) -> None:
    """Each writer's last ids may be younger than the clear; none from before it is usable."""
    module = SessionModule(**store)
    before: list[str] = []
    rounds = 20
    with spawn.Manager() as manager:
        stop, ids = manager.Event(), manager.Queue()
        ready = [manager.Event() for _ in range(PROCESSES)]
        processes = [
            spawn.Process(target=write_until_stopped, args=(store, event, stop, ids))
            for event in ready
        ]
        for process in processes:
            process.start()
        for event in ready:
            assert event.wait(60)
        for _ in range(rounds):
            before = [module.sync.create("5", {}) for _ in range(5)]
            before += [module.sync.rework(before[0])]
            module.sync.clear("5")
            assert [module.sync.get(each, None) for each in before] == [None] * 6
        stop.set()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        issued = [each for _ in range(PROCESSES) for each in ids.get()]
    assert len(issued) > PROCESSES
    if module.sync.count("5"):
        module.sync.clear("5")
    assert [each for each in issued if module.sync.get(each, None) is not None] == []


def _ends(store: SessionStore) -> list[Callable[[], object]]:
    return [
        lambda: SessionStore(store.session_key).delete(),
        lambda: SessionStore(store.session_key).flush(),
        lambda: configured.current().sync.clear("5"),
        lambda: SessionStore(store.session_key).cycle_key(),
    ]


def _writes(store: SessionStore) -> list[Callable[[], object]]:
    def change() -> None:
        store["late"] = 1

    def clear() -> None:
        store.clear()
        store["late"] = 1

    def become_another() -> None:
        store["_auth_user_id"] = "7"

    return [change, clear, become_another, lambda: None]


@pytest.mark.usefixtures("jam_settings")
def test_a_save_after_the_end_is_an_update_error_in_every_order() -> None:
    """1,000 forced interleavings: load, change and end in random order, then the save."""
    dice = random.Random(7)
    for _ in range(INTERLEAVINGS):
        owned = SessionStore()
        owned.update({"_auth_user_id": "5", "n": 1})
        owned.save()
        key = owned.session_key
        late = SessionStore(key)
        late.get("n")
        steps = [dice.choice(_writes(late)), dice.choice(_ends(owned))]
        dice.shuffle(steps)
        for step in steps:
            step()
        with pytest.raises(UpdateError):
            late.save()
        assert SessionStore().exists(key) is False
        assert configured.current().operations.cipher.locators("7")
        assert configured.current().sync.count("7") == 0


@pytest.mark.usefixtures("jam_settings")
def test_a_save_racing_with_the_end_resurrects_nothing() -> None:
    """Two threads: whichever comes first, in the end the session is dead."""
    with ThreadPoolExecutor(2) as pool:
        for round_ in range(50):
            store = SessionStore()
            store.update({"_auth_user_id": "5", "n": round_})
            store.save()
            key = store.session_key
            barrier = threading.Barrier(2)
            store["n"] = -1

            def save(store: SessionStore = store, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                with contextlib.suppress(UpdateError):
                    store.save()

            def end(key: str | None = key, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                SessionStore(key).delete()

            for future in [pool.submit(save), pool.submit(end)]:
                future.result()
            assert SessionStore().exists(key) is False


@pytest.mark.usefixtures("jam_settings")
def test_writers_of_other_keys_of_one_session_lose_nothing() -> None:
    """8 threads, each with its own key of the data, through merges."""
    store = SessionStore()
    store["_auth_user_id"] = "5"
    store.save()

    def count(name: str) -> None:
        for _ in range(10):
            writer = SessionStore(store.session_key)
            writer[name] = writer.get(name, 0) + 1
            writer.save()

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(count, "writer%d" % n) for n in range(8)]:
            future.result()
    found = SessionStore(store.session_key)
    assert [found["writer%d" % n] for n in range(8)] == [10] * 8
