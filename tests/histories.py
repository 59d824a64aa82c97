"""Clients of one store at once: threads, tasks of a loop, another process; and what they saw."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django_jam_sessions import SessionModule, SessionNotFoundError
from django_jam_sessions.backends.json import JSONBackend

from .linearizability import Operation
from .model import handle

MISSING = "no such session"
Step = tuple[Any, str, tuple[Any, ...]]
Work = Generator[Step, Any, Any]
"""Yields (target, method, arguments), is sent what that returned, or thrown what it raised."""
Client = Callable[[list[str], random.Random], tuple[str, tuple[Any, ...], Work]]
"""What a client does next, given the ids that are known."""

now = time.perf_counter_ns  # CLOCK_MONOTONIC: the same in each process of a host


def drive(work: Work) -> Any:
    try:
        target, name, arguments = next(work)
        while True:
            try:
                result = getattr(getattr(target, "sync", target), name)(*arguments)
            except Exception as error:  # noqa: BLE001 - the work's to judge
                target, name, arguments = work.throw(error)
            else:
                target, name, arguments = work.send(result)
    except StopIteration as done:
        return done.value


async def adrive(work: Work) -> Any:
    try:
        target, name, arguments = next(work)
        while True:
            twin = name if isinstance(target, SessionModule) else "a" + name
            try:
                result = await getattr(target, twin)(*arguments)
            except Exception as error:  # noqa: BLE001
                target, name, arguments = work.throw(error)
            else:
                target, name, arguments = work.send(result)
    except StopIteration as done:
        return done.value


def blocking(client: Client, ids: list[str], seed: int, count: int, start: int) -> list[Operation]:
    """What one client did and saw, from the moment ``start``."""
    dice = random.Random(seed)
    while now() < start:
        pass
    seen = []
    for _ in range(count):
        name, arguments, work = client(ids, dice)
        invoked = now()
        result = drive(work)
        seen.append(Operation(name, arguments, result, invoked, now()))
        _learn(ids, result)
    return seen


async def awaited(client: Client, ids: list[str], seed: int, count: int) -> list[Operation]:
    """See blocking()."""
    dice = random.Random(seed)
    seen = []
    for _ in range(count):
        name, arguments, work = client(ids, dice)
        invoked = now()
        result = await adrive(work)
        seen.append(Operation(name, arguments, result, invoked, now()))
        _learn(ids, result)
        await asyncio.sleep(0)
    return seen


def _learn(ids: list[str], result: Any) -> None:
    if isinstance(result, str) and result != MISSING:
        ids.append(result)


def in_threads(
    client: Client, ids: list[str], seeds: Sequence[int], count: int, start: int = 0
) -> list[Operation]:
    start = start or now() + 1_000_000
    with ThreadPoolExecutor(len(seeds)) as pool:
        futures = [pool.submit(blocking, client, ids, seed, count, start) for seed in seeds]
        return [each for future in futures for each in future.result()]


def in_tasks(
    client: Client, ids: list[str], seeds: Sequence[int], count: int, loop: Any
) -> list[Operation]:
    async def together() -> list[Operation]:
        found = await asyncio.gather(*(awaited(client, ids, seed, count) for seed in seeds))
        return [each for one in found for each in one]

    history: list[Operation] = loop.run_until_complete(together())
    return history


# SessionModule's methods, and what they do one at a time

State = frozenset[tuple[str, str, int]]  # id, key, data
KEY = "5"


def module_client(module: SessionModule, numbers: Callable[[], int]) -> Client:
    def method(name: str, *arguments: Any) -> Work:
        try:
            return (yield module, name, arguments)
        except SessionNotFoundError:
            return MISSING

    def listed(*arguments: Any) -> Work:
        page = yield module, "list", arguments
        return frozenset(info.handle for info in page)

    methods = METHODS
    if isinstance(module.backend, JSONBackend):
        # It ends the others one by one: who looks meanwhile sees some of them.
        methods = [name for name in METHODS if name != "clear_others"]

    def client(ids: list[str], dice: random.Random) -> tuple[str, tuple[Any, ...], Work]:
        name, session_id = dice.choice(methods), dice.choice(ids)
        arguments: tuple[Any, ...] = (session_id,)
        if name in ("clear", "count", "list"):
            arguments = (KEY,)
        elif name == "end":
            arguments = (KEY, handle(session_id))
        elif name == "create":
            arguments = (KEY, {"n": numbers()})
        elif name == "update":
            arguments = (session_id, {"n": numbers()})
        work = listed(*arguments) if name == "list" else method(name, *arguments)
        return name, arguments, work

    return client


METHODS = [
    *("get", "get", "update", "update", "rework", "rework", "create", "delete", "end"),
    *("clear", "clear_others", "list", "count"),
]


def module_spec(state: State, operation: Operation) -> State | None:
    after, result = _module_after(state, operation)
    return after if result == operation.result else None


def _module_after(state: State, operation: Operation) -> tuple[State, Any]:
    """The state after, and the result it must have had."""
    name, (first, *rest), told = operation[:3]
    if name in ("create", "count", "list", "clear", "end"):
        of_key = frozenset(each for each in state if each[1] == first)
        return _after_with_key(state, of_key, operation)
    session = next((each for each in state if each[0] == first), None)
    if session is None:
        return state, MISSING
    _, key, data = session
    if name == "get":
        return state, {"n": data}
    if name == "delete":
        return state - {session}, None
    if name == "clear_others":
        return frozenset(each for each in state if each[1] != key or each == session), None
    if name == "update":
        return state - {session} | {(first, key, rest[0]["n"])}, None
    assert name == "rework"
    return state - {session} | {(told, key, data)}, told if told != MISSING else None


def _after_with_key(state: State, of_key: State, operation: Operation) -> tuple[State, Any]:
    name, (key, *rest), told = operation[:3]
    if name == "create":
        return state | {(told, key, rest[0]["n"])}, told
    if name == "count":
        return state, len(of_key)
    if name == "list":
        return state, frozenset(handle(each[0]) for each in of_key)
    if name == "end":
        of_key = frozenset(each for each in of_key if handle(each[0]) == rest[0])
    return state - of_key, None if of_key else MISSING
