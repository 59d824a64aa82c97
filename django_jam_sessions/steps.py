"""One text for what blocks and what is awaited.

Logic that needs several calls is a generator: it yields ``(method name, *arguments)`` and is sent
what the call returned. run() makes the calls on a target; arun() awaits the target's twins, whose
names begin with an ``a``. What a call raises is raised where it was yielded. The logic
itself does no I/O and knows of no event loop.
``(QUEUE, name, seconds)`` waits for its turn, which lasts to the end of the steps, and goes on
without where it does not come. ``(TELL, signal, details)`` sends a signal of Django's: at once, or
where somebody has a turn after that, for who is told may write, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Hashable
from typing import Any, TypeVar

from . import queues

T = TypeVar("T")
TELL = "tell"
QUEUE = "queue"
Step = tuple[Any, ...]
Steps = Generator[Step, Any, T]


def run(target: object, steps: Steps[T]) -> T:
    turns: list[Hashable] = []
    untold: list[Step] = []
    try:
        step = next(steps)
        while True:
            if step[0] is TELL:
                if turns:
                    untold.append(step)
                else:
                    step[1].send_robust(None, **step[2])
                step = next(steps)
            elif step[0] is QUEUE:
                _turn(step, turns)
                step = next(steps)
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
        for _, signal, details in untold:
            signal.send_robust(None, **details)


async def arun(target: object, steps: Steps[T]) -> T:
    turns: list[Hashable] = []
    untold: list[Step] = []
    try:
        step = next(steps)
        while True:
            if step[0] is TELL:
                if turns:
                    untold.append(step)
                else:
                    await step[1].asend_robust(None, **step[2])
                step = next(steps)
            elif step[0] is QUEUE:
                await _aturn(step, turns)
                step = next(steps)
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
    except GeneratorExit:  # the event loop is gone
        untold.clear()
        raise
    finally:
        _leave(turns)
        for _, signal, details in untold:
            await signal.asend_robust(None, **details)


def _turn(step: Step, turns: list[Hashable]) -> None:
    _, name, seconds = step
    # Who blocks an event loop can't wait for its tasks.
    if queues.enter(name) or (not _is_in_a_loop() and queues.join(name, seconds)):
        turns.append(name)


async def _aturn(step: Step, turns: list[Hashable]) -> None:
    _, name, seconds = step
    if queues.enter(name) or await queues.ajoin(name, seconds):
        turns.append(name)


def _leave(turns: list[Hashable]) -> None:
    while turns:
        queues.leave(turns.pop())


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
