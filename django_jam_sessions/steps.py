"""One text for what blocks and what is awaited.

Logic that needs several calls is a generator: it yields ``(method name, *arguments)`` and is sent
what the call returned. run() makes the calls on a target; arun() awaits the target's twins, whose
names begin with an ``a``. What a call raises is raised where it was yielded. The logic
itself does no I/O and knows of no event loop.
``(TELL, signal, details)`` sends a signal of Django's instead. ``(QUEUE, name, seconds)`` waits for
its turn, and is sent whether it came. Turns last to the end of the steps, or to a signal: who is
told may write, too.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any, TypeVar

from . import queues

T = TypeVar("T")
TELL = "tell"
QUEUE = "queue"
Steps = Generator[tuple[Any, ...], Any, T]


def run(target: object, steps: Steps[T]) -> T:
    turns: list[Hashable] = []
    try:
        step = next(steps)
        while True:
            if step[0] is TELL:
                _leave(turns)
                step[1].send_robust(None, **step[2])
                step = next(steps)
            elif step[0] is QUEUE:
                is_mine = queues.join(*step[1:])
                if is_mine:
                    turns.append(step[1])
                step = steps.send(is_mine)
            else:
                try:
                    result = getattr(target, step[0])(*step[1:])
                except BaseException as error:  # noqa: BLE001 - the logic may let it pass
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
    except StopIteration as done:
        returned: T = done.value
        return returned
    finally:
        _leave(turns)


async def arun(target: object, steps: Steps[T]) -> T:
    turns: list[Hashable] = []
    try:
        step = next(steps)
        while True:
            if step[0] is TELL:
                _leave(turns)
                await step[1].asend_robust(None, **step[2])
                step = next(steps)
            elif step[0] is QUEUE:
                is_mine = await queues.ajoin(*step[1:])
                if is_mine:
                    turns.append(step[1])
                step = steps.send(is_mine)
            else:
                try:
                    result = await getattr(target, "a" + step[0])(*step[1:])
                except BaseException as error:  # noqa: BLE001 - also where it was cancelled
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
    except StopIteration as done:
        returned: T = done.value
        return returned
    finally:
        _leave(turns)


def _leave(turns: list[Hashable]) -> None:
    while turns:
        queues.leave(turns.pop())
