"""SessionModule under concurrency: what clients see could have happened one after the other.

LINEARIZABILITY_ROUNDS is the number of histories for each store and kind of client.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from django_jam_sessions import SessionModule

from .histories import (
    KEY,
    State,
    in_tasks,
    in_threads,
    module_client,
    module_spec,
    now,
)
from .linearizability import Operation, linearization, overlaps

ROUNDS = int(os.environ.get("LINEARIZABILITY_ROUNDS", 15))
CLIENTS, OPERATIONS = 3, 4
DELAY = 4_000_000  # ns, until processes that were told of a round begin it

spawn = multiprocessing.get_context("spawn")


# The checker itself


def register(state: int, operation: Operation) -> int | None:
    """One number that is written and read."""
    if operation.name == "write":
        return int(operation.arguments[0])
    return state if operation.result == state else None


def write(value: int, invoked: int, returned: int) -> Operation:
    return Operation("write", (value,), None, invoked, returned)


def read(value: int, invoked: int, returned: int) -> Operation:
    return Operation("read", (), value, invoked, returned)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [read(0, 1, 2)],
        [write(1, 1, 2), read(1, 3, 4)],
        [write(1, 1, 4), read(0, 2, 3)],
        [write(1, 1, 4), read(1, 2, 3)],
        [write(1, 1, 9), read(0, 2, 3), read(1, 4, 5)],
        [write(1, 1, 9), write(2, 2, 8), read(2, 3, 4), read(1, 5, 6)],
        [write(1, 1, 9), write(2, 2, 8), read(1, 3, 4), read(2, 5, 6), read(2, 10, 11)],
    ],
)
def test_a_history_that_can_be_put_in_order(history: list[Operation]) -> None:
    order = linearization(history, 0, register)
    assert order is not None
    assert sorted(order) == sorted(history)


@pytest.mark.parametrize(
    "history",
    [
        [read(1, 1, 2)],
        [write(1, 1, 2), read(0, 3, 4)],
        [read(1, 1, 2), write(1, 3, 4)],
        [write(1, 1, 9), read(1, 2, 3), read(0, 4, 5)],
        [write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)],
        [write(1, 1, 9), write(2, 2, 8), read(1, 3, 4), read(2, 5, 6), read(1, 10, 11)],
        [write(1, 1, 4), write(2, 1, 4), read(1, 5, 9), read(2, 6, 8)],
    ],
)
def test_a_history_that_can_not(history: list[Operation]) -> None:
    assert linearization(history, 0, register) is None


def test_each_order_of_the_same_history_gets_the_same_answer() -> None:
    good = [write(1, 1, 9), write(2, 2, 8), read(2, 3, 4), read(1, 5, 6)]
    for history in itertools.permutations(good):
        assert linearization(history, 0, register) is not None
        assert linearization([*history, read(2, 10, 11)], 0, register) is None


def test_the_checker_sees_a_lost_update_and_a_resurrection() -> None:
    state: State = frozenset({("a" * 40, KEY, 0)})
    deleted = Operation("delete", ("a" * 40,), None, 1, 4)
    updated = Operation("update", ("a" * 40, {"n": 1}), None, 2, 3)
    for after, expected in (("no such session", True), ({"n": 1}, False), ({"n": 0}, False)):
        got = Operation("get", ("a" * 40,), after, 5, 6)
        found = linearization([deleted, updated, got], state, module_spec)
        assert (found is not None) is expected


def test_overlapping_operations_are_counted() -> None:
    assert overlaps([write(1, 1, 2), write(2, 3, 4)]) == 0
    assert overlaps([write(1, 1, 3), write(2, 2, 4), write(3, 4, 5)]) == 2


# Histories of real clients


class Site:
    """A module, what it begins a round with, and the clients that it has."""

    def __init__(self, options: dict[str, Any], numbers: Iterator[int]) -> None:
        self.module = SessionModule(**options)
        self.client = module_client(self.module, lambda: next(numbers))

    def begin(self) -> tuple[State, list[str]]:
        self.module.sync.create(KEY, {})
        self.module.sync.clear(KEY)
        state = {(self.module.sync.create(KEY, {"n": -n}), KEY, -n) for n in (1, 2)}
        return frozenset(state), [each[0] for each in state]


@pytest.fixture
def options(store: dict[str, Any], is_session_crypt: bool) -> dict[str, Any]:
    return {**store, "is_session_crypt": is_session_crypt, "session_aes_secret": b"s" * 32}


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads that take turns more often than they would."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def check(state: State, history: list[Operation]) -> int:
    """The number of overlapping pairs."""
    order = linearization(history, state, module_spec)
    assert order is not None, "\n".join(
        map(str, [state, *sorted(history, key=lambda x: x.invoked)])
    )
    return overlaps(history)


@pytest.mark.usefixtures("eager")
def test_threads_see_one_thing_after_the_other(options: dict[str, Any]) -> None:
    site, met = Site(options, itertools.count(1)), 0
    for _ in range(ROUNDS):
        state, ids = site.begin()
        seeds = [random.getrandbits(32) for _ in range(CLIENTS)]
        met += check(state, in_threads(site.client, ids, seeds, OPERATIONS))
    assert met > ROUNDS


def test_tasks_see_one_thing_after_the_other(options: dict[str, Any]) -> None:
    site, met = Site(options, itertools.count(1)), 0
    loop = asyncio.new_event_loop()
    for _ in range(ROUNDS):
        state, ids = site.begin()
        seeds = [random.getrandbits(32) for _ in range(CLIENTS)]
        met += check(state, in_tasks(site.client, ids, seeds, OPERATIONS, loop))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert met > ROUNDS


def other_process(options: dict[str, Any], pipe: Any) -> None:
    site = Site(options, itertools.count(1_000_000))
    pipe.send("ready")
    while (told := pipe.recv()) is not None:
        ids, seeds, start = told
        pipe.send(in_threads(site.client, ids, seeds, OPERATIONS, start))


@pytest.mark.usefixtures("eager")
def test_processes_see_one_thing_after_the_other(options: dict[str, Any]) -> None:
    site, met = Site(options, itertools.count(1)), 0
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=other_process, args=(options, theirs))
    process.start()
    assert ours.recv() == "ready"
    for _ in range(ROUNDS):
        state, ids = site.begin()
        here, there, start = random.getrandbits(32), random.getrandbits(32), now() + DELAY
        ours.send((ids, [there, there + 1], start))
        history = in_threads(site.client, list(ids), [here], OPERATIONS, start)
        met += check(state, [*history, *ours.recv()])
    ours.send(None)
    process.join(20)
    assert process.exitcode == 0
    assert met > ROUNDS
