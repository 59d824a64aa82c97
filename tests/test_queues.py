"""Who writes to the same session waits for the others of the process: in turn, and not for ever."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from django_jam_sessions import queues
from django_jam_sessions.steps import QUEUE, Steps, arun, run


@pytest.fixture(autouse=True)
def nobody_is_left() -> Any:
    yield
    assert not queues._threads
    assert not queues._tasks


def test_threads_get_their_turn_in_the_order_of_their_coming() -> None:
    order: list[int] = []

    def write(number: int) -> None:
        assert queues.join("a", 5)
        order.append(number)
        queues.leave("a")

    assert queues.join("a", 5)
    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=write, args=(number,)))
        threads[-1].start()
        while len(queues._threads["a"]) <= number:
            time.sleep(0.001)
    assert queues.join("b", 0)  # another name is another queue
    queues.leave("b")
    assert order == []
    queues.leave("a")
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_a_thread_does_not_wait_for_ever() -> None:
    assert queues.join("a", 5)
    assert not queues.join("a", 0.01)
    queues.leave("a")
    assert queues.join("a", 0)
    queues.leave("a")


def test_tasks_get_their_turn_in_the_order_of_their_coming() -> None:
    order: list[int] = []

    async def write(number: int) -> None:
        assert await queues.ajoin("a", 5)
        order.append(number)
        await asyncio.sleep(0)
        queues.aleave("a")

    async def together() -> None:
        await asyncio.gather(*map(write, range(20)))

    asyncio.run(together())
    assert order == list(range(20))


def test_a_task_does_not_wait_for_ever() -> None:
    async def both() -> None:
        assert await queues.ajoin("a", 5)
        assert not await queues.ajoin("a", 0.01)
        queues.aleave("a")

    asyncio.run(both())


@pytest.mark.parametrize("has_its_turn", [False, True])
def test_a_cancelled_task_holds_up_nobody(has_its_turn: bool) -> None:
    async def scene() -> None:
        assert await queues.ajoin("a", 5)
        cancelled = asyncio.ensure_future(queues.ajoin("a", 5))
        last = asyncio.ensure_future(queues.ajoin("a", 5))
        await asyncio.sleep(0)
        if has_its_turn:  # which it has not yet noticed
            queues.aleave("a")
            cancelled.cancel()
        else:
            cancelled.cancel()
            await asyncio.sleep(0)
            queues.aleave("a")
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await last
        queues.aleave("a")

    asyncio.run(scene())


def test_a_turn_ends_with_the_steps_however_they_end() -> None:
    def steps() -> Steps[None]:
        assert (yield QUEUE, "a", 0)
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run(None, steps())
        with pytest.raises(ZeroDivisionError):
            asyncio.run(arun(None, steps()))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_waits_for_nobody_of_its_parent() -> None:
    assert queues.join("a", 5)
    child = os.fork()
    if child == 0:
        os._exit(0 if queues.join("a", 0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    queues.leave("a")
