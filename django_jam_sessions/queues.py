"""Queues of those who write to the same thing: one at a time, first come, first served.

One for the threads of this process, one for the tasks of each event loop. A queue exists while
somebody has the turn.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Hashable

_guard = threading.Lock()
_threads: dict[Hashable, deque[threading.Event]] = {}
_tasks: dict[tuple[asyncio.AbstractEventLoop, Hashable], deque[asyncio.Future[bool]]] = {}


def join(name: Hashable, seconds: float) -> bool:
    """Wait for the turn, which leave() ends; False, and no turn, after ``seconds``."""
    with _guard:
        waiting = _threads.get(name)
        if waiting is None:
            _threads[name] = deque()
            return True
        turn = threading.Event()
        waiting.append(turn)
    if turn.wait(seconds):
        return True
    with _guard:
        if not turn.is_set():
            waiting.remove(turn)
        return turn.is_set()


def leave(name: Hashable) -> None:
    with _guard:
        if waiting := _threads[name]:
            waiting.popleft().set()
        else:
            del _threads[name]


async def ajoin(name: Hashable, seconds: float) -> bool:
    """See join()."""
    loop = asyncio.get_running_loop()
    waiting = _tasks.get((loop, name))
    if waiting is None:
        _tasks[loop, name] = deque()
        return True
    turn: asyncio.Future[bool] = loop.create_future()
    waiting.append(turn)
    timer = loop.call_later(seconds, _give_up, turn)
    try:
        return await turn
    except asyncio.CancelledError:
        if not turn.cancelled() and turn.result():  # the turn came in the same moment
            aleave(name)
        raise
    finally:
        timer.cancel()


def _give_up(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)


def aleave(name: Hashable) -> None:
    """See leave()."""
    key = asyncio.get_running_loop(), name
    waiting = _tasks[key]
    while waiting:
        turn = waiting.popleft()
        if not turn.done():
            turn.set_result(True)
            return
    del _tasks[key]


def _forget() -> None:
    """A forked child has none of the threads and tasks that had their turn."""
    global _guard
    _guard = threading.Lock()
    _threads.clear()
    _tasks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
