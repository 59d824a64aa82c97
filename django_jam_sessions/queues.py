"""Queues of those who write to the same thing: one at a time, first come, first served.

The threads of this process and the tasks of its event loops stand in one and the same. A queue
exists while somebody has the turn.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Hashable
from concurrent import futures
from contextlib import suppress

Turn = futures.Future[None]

_guard = threading.RLock()  # the garbage collector may end somebody's steps anywhere
_waiting: dict[Hashable, deque[Turn]] = {}


def is_there(name: Hashable) -> bool:
    """Whether somebody has the turn."""
    return name in _waiting


def enter(name: Hashable) -> bool:
    """Take the turn where nobody has it."""
    empty: deque[Turn] = deque()
    with _guard:
        return _waiting.setdefault(name, empty) is empty


def join(name: Hashable, seconds: float) -> bool:
    """Wait for the turn, which leave() ends; False, and no turn, after ``seconds``."""
    turn = _stand(name)
    if turn is None:
        return True
    try:
        with suppress(futures.TimeoutError):
            turn.result(seconds)
    except BaseException:
        _give_up(name, turn)
        raise
    return not turn.cancel()  # it may come in this very moment


async def ajoin(name: Hashable, seconds: float) -> bool:
    """See join()."""
    turn = _stand(name)
    if turn is None:
        return True
    try:
        await asyncio.wait([asyncio.wrap_future(turn)], timeout=seconds)
    except BaseException:  # it was cancelled
        _give_up(name, turn)
        raise
    return not turn.cancel()


def leave(name: Hashable) -> None:
    with _guard:
        waiting = _waiting[name]
        while waiting:
            turn = waiting.popleft()
            if turn.set_running_or_notify_cancel():
                break
        else:
            del _waiting[name]
            return
    turn.set_result(None)


def _stand(name: Hashable) -> Turn | None:
    """What is done when the turn comes; None where it is there."""
    turn = Turn()  # not under the guard: where the garbage collector comes, others' steps may end
    with _guard:
        if enter(name):
            return None
        _waiting[name].append(turn)
        return turn


def _give_up(name: Hashable, turn: Turn) -> None:
    if not turn.cancel():
        leave(name)


def _forget() -> None:
    """A forked child has none of the threads and tasks that had their turn."""
    global _guard
    _guard = threading.RLock()
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
