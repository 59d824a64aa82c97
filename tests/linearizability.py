"""Whether what clients saw of an object, all at once, could have happened one after the other.

A history is what was called, when, and what came back. It is linearizable where each operation can
be given a moment between its call and its return, at which it happened whole. The search is that of
Wing and Gong (1993), which does not look twice at the same set of operations done with the same
state reached, as Lowe (2017) has it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple


class Operation(NamedTuple):
    name: str
    arguments: tuple[Any, ...]
    result: Any
    invoked: int  # nanoseconds, by a clock that all clients share
    returned: int


Spec = Callable[[Any, Operation], Hashable | None]
"""The state after an operation with that result; None where it can't have had that result."""


def linearization(
    history: Sequence[Operation], state: Hashable, spec: Spec
) -> list[Operation] | None:
    """The operations in an order that explains all results; None where there is none."""
    history = sorted(history, key=lambda each: each.invoked)
    everything = (1 << len(history)) - 1
    seen: set[tuple[int, Hashable]] = set()
    path: list[Operation] = []

    def search(done: int, state: Hashable) -> bool:
        if done == everything:
            return True
        if (done, state) in seen:
            return False
        seen.add((done, state))
        for number in _next(history, done):
            after = spec(state, history[number])
            if after is not None:
                path.append(history[number])
                if search(done | 1 << number, after):
                    return True
                path.pop()
        return False

    return path if search(0, state) else None


def _next(history: Sequence[Operation], done: int) -> list[int]:
    """Those that no other, still to be done, had returned before."""
    left = [number for number in range(len(history)) if not done >> number & 1]
    first_return = min(history[number].returned for number in left)
    return [number for number in left if history[number].invoked <= first_return]


def overlaps(history: Sequence[Operation]) -> int:
    """How many pairs of operations were under way at once."""
    return sum(
        one.invoked <= other.returned and other.invoked <= one.returned
        for number, one in enumerate(history)
        for other in history[:number]
    )
