"""Every order in which the steps of two or three operations can meet, one after the other.

An operation is a generator (django_jam_sessions.steps): what happens between its steps, others may
do. So all orders can be tried, each from the same beginning, and none is left to luck.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django_jam_sessions.backends.redis import RedisBackend
from django_jam_sessions.steps import TELL, Steps

World = tuple[Any, Sequence[Steps[Any]], Callable[[list[Any]], Any]]
"""A backend, the operations, and what is to be seen of it all, given what these returned."""


class Client:
    """One operation, a call of the store at a time."""

    def __init__(self, backend: Any, steps: Steps[Any]) -> None:
        self._calls = [(backend, steps)]
        self._reply: Any = None
        self.is_done = False
        self.result: Any = None

    def step(self) -> None:
        """Make the next call, and what follows it without one."""
        if not self._advance():
            return
        target, name, arguments = self._next
        self._reply = getattr(target, name)(*arguments)
        self._advance_quietly()

    _pending = False

    def _advance(self) -> bool:
        """Find the next call; False at the end."""
        if self._pending:
            self._pending = False
            return True
        return self._find()

    def _advance_quietly(self) -> None:
        self._pending = self._find()

    def _find(self) -> bool:
        while True:
            target, steps = self._calls[-1]
            try:
                name, *arguments = steps.send(self._reply)
            except StopIteration as done:
                self._reply = done.value
                self._calls.pop()
                if not self._calls:
                    self.is_done, self.result = True, done.value
                    return False
                continue
            self._reply = None
            if name is TELL:
                continue
            if name == "now":
                self._reply = target.now()
            elif name == "move" and isinstance(target, RedisBackend):
                self._calls.append(
                    (target.redis, target._move(*arguments, *[None] * (6 - len(arguments))))
                )  # it may be two trips
            else:
                self._next = target, name, arguments
                return True


def outcomes(world: Callable[[], World]) -> Iterator[Any]:
    """What can be seen after each interleaving."""
    plan: list[int] = []
    while True:
        taken, seen = _run(world, plan)
        yield seen
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        plan = [choice for choice, _ in taken[:-1]] + [taken[-1][0] + 1]


def serial_outcomes(world: Callable[[], World], count: int) -> set[Any]:
    """What can be seen after the operations in each order, one whole before the next."""
    return {_run(world, order, is_serial=True)[1] for order in itertools.permutations(range(count))}


def _run(
    world: Callable[[], World], plan: Sequence[int], *, is_serial: bool = False
) -> tuple[list[tuple[int, int]], Any]:
    """The choices that were made, each with how many there were, and what was seen."""
    backend, operations, look = world()
    clients = [Client(backend, steps) for steps in operations]
    taken: list[tuple[int, int]] = []
    if is_serial:
        for number in plan:
            while not clients[number].is_done:
                clients[number].step()
    while left := [client for client in clients if not client.is_done]:
        choice = plan[len(taken)] if len(taken) < len(plan) else 0
        taken.append((choice, len(left)))
        left[choice].step()
    return taken, look([client.result for client in clients])
