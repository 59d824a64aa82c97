"""Queues of those who write to the same thing: one at a time, first come, first served.

The threads of this process and the tasks of its event loops stand in one and the same. A queue
exists while somebody has the turn; whoever writes can leave a note there for those who wait.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Hashable
from concurrent import futures
from contextlib import suppress
from typing import Any

Turn = futures.Future[None]


LONGEST = 10.0  # seconds: whoever has the turn for longer was interrupted, and could not leave


class _Queue(deque[Turn]):
    note: Any = None
    since = 0.0  # when somebody got the turn, by the monotonic clock


_guard = threading.RLock()  # the garbage collector may end somebody's steps anywhere
_waiting: dict[Hashable, _Queue] = {}
_swept = 0.0


def is_there(name: Hashable) -> bool:
    """Whether somebody has the turn."""
    return name in _waiting


def leave_note(name: Hashable, note: Any) -> None:
    """For those who wait there, if anybody does."""
    queue = _waiting.get(name)
    if queue is not None:
        queue.note = note


def note_of(name: Hashable) -> Any:
    """The last note; None where there is none."""
    queue = _waiting.get(name)
    return None if queue is None else queue.note


def enter(name: Hashable) -> bool:
    """Take the turn where nobody has it."""
    now, empty = time.monotonic(), _Queue()
    with _guard:
        _sweep(now)
        queue = _waiting.setdefault(name, empty)
        if queue is not empty and now - queue.since < LONGEST:
            return False
        queue.since = now
        return True


def _sweep(now: float) -> None:
    """Of what was never left, and nobody asks for again, nothing is kept."""
    global _swept
    if now - _swept > LONGEST:
        _swept = now
        for name in [name for name, queue in _waiting.items() if now - queue.since > LONGEST]:
            if not _waiting[name]:
                del _waiting[name]


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
        queue = _waiting.get(name)
        while queue:
            turn = queue.popleft()
            if turn.set_running_or_notify_cancel():
                queue.since = time.monotonic()
                break
        else:
            _waiting.pop(name, None)  # it is not there in a child that was forked meanwhile
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
