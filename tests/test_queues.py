"""Who writes to the same session waits for the others of the process: in turn, and not for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest
from django.dispatch import Signal

from django_jam_sessions import queues
from django_jam_sessions.steps import QUEUE, TELL, Steps, arun, run


@pytest.fixture(autouse=True)
def nobody_is_left() -> Any:
    yield
    assert not queues._waiting


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
        while len(queues._waiting["a"]) <= number:
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


def test_a_turn_that_was_not_left_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's handler may raise anywhere, as those of time limits do."""
    assert queues.enter("a")
    assert not queues.join("a", 0)
    monkeypatch.setattr(queues, "LONGEST", 0.0)
    assert queues.join("a", 0)
    queues.leave("a")
    queues.leave("a")  # it comes back after all


@pytest.mark.parametrize("has_its_turn", [False, True])
def test_a_thread_that_is_interrupted_as_it_waits_holds_up_nobody(has_its_turn: bool) -> None:
    def interrupt(*_: Any) -> None:
        if has_its_turn:  # which it has not yet noticed
            queues.leave("a")
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, interrupt)
    assert queues.enter("a")
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(ZeroDivisionError):
            queues.join("a", 5)
    finally:
        signal.signal(signal.SIGALRM, before)
    if not has_its_turn:
        queues.leave("a")
    assert not queues.is_there("a")


def test_of_what_was_not_left_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert queues.enter("a")
    monkeypatch.setattr(queues, "LONGEST", 0.0)
    assert queues.enter("b")
    assert list(queues._waiting) == ["b"]
    queues.leave("b")


def test_a_turn_is_not_forgotten_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert queues.enter("a")
    monkeypatch.setattr(queues, "_swept", 0.0)
    assert queues.enter("b")
    assert not queues.enter("a")
    queues.leave("a")
    queues.leave("b")


def test_a_note_is_for_those_who_wait_and_is_gone_with_them() -> None:
    queues.leave_note("a", 1)
    assert queues.note_of("a") is None
    assert queues.enter("a")
    assert queues.note_of("a") is None
    queues.leave_note("a", 1)
    assert queues.note_of("a") == 1
    queues.leave("a")
    assert queues.note_of("a") is None


def test_tasks_get_their_turn_in_the_order_of_their_coming() -> None:
    order: list[int] = []

    async def write(number: int) -> None:
        assert await queues.ajoin("a", 5)
        order.append(number)
        await asyncio.sleep(0)
        queues.leave("a")

    async def together() -> None:
        await asyncio.gather(*map(write, range(20)))

    asyncio.run(together())
    assert order == list(range(20))


def test_a_task_does_not_wait_for_ever() -> None:
    async def both() -> None:
        assert await queues.ajoin("a", 5)
        assert not await queues.ajoin("a", 0.01)
        queues.leave("a")

    asyncio.run(both())


def test_threads_and_tasks_stand_in_one_queue() -> None:
    async def scene() -> None:
        assert await queues.ajoin("a", 5)
        thread = asyncio.ensure_future(asyncio.to_thread(queues.join, "a", 5))
        await asyncio.sleep(0.05)
        task = asyncio.ensure_future(queues.ajoin("a", 5))
        await asyncio.sleep(0.01)
        assert not thread.done()
        queues.leave("a")
        assert await thread
        await asyncio.sleep(0.01)
        assert not task.done()
        await asyncio.to_thread(queues.leave, "a")
        assert await task
        queues.leave("a")

    asyncio.run(scene())


def test_a_task_whose_loop_is_gone_holds_up_nobody() -> None:
    assert queues.join("a", 5)
    loop = asyncio.new_event_loop()
    task = loop.create_task(queues.ajoin("a", 5))
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    queues.leave("a")
    assert queues.join("a", 0)
    queues.leave("a")


@pytest.mark.parametrize("has_its_turn", [False, True])
def test_a_cancelled_task_holds_up_nobody(has_its_turn: bool) -> None:
    async def scene() -> None:
        assert await queues.ajoin("a", 5)
        cancelled = asyncio.ensure_future(queues.ajoin("a", 5))
        last = asyncio.ensure_future(queues.ajoin("a", 5))
        await asyncio.sleep(0)
        if has_its_turn:  # which it has not yet noticed
            queues.leave("a")
            cancelled.cancel()
        else:
            cancelled.cancel()
            await asyncio.sleep(0)
            queues.leave("a")
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await last
        queues.leave("a")

    asyncio.run(scene())


def test_a_turn_ends_with_the_steps_however_they_end() -> None:
    def steps() -> Steps[None]:
        yield QUEUE, "a", 0
        assert queues.is_there("a")
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run(None, steps())
        with pytest.raises(ZeroDivisionError):
            asyncio.run(arun(None, steps()))


def test_steps_whose_turn_does_not_come_go_on_and_leave_it_to_whoever_has_it() -> None:
    def steps() -> Steps[bool]:
        yield QUEUE, "a", 0.01
        return queues.is_there("a")

    assert queues.enter("a")
    assert run(None, steps())
    assert asyncio.run(arun(None, steps()))
    assert queues.is_there("a")
    queues.leave("a")


def test_who_is_told_of_a_write_may_write() -> None:
    heard: list[bool] = []
    told = Signal()

    def receive(**_: Any) -> None:
        heard.append(queues.join("a", 0))
        queues.leave("a")

    def steps() -> Steps[None]:
        yield QUEUE, "a", 0
        yield QUEUE, "b", 0
        yield TELL, told, {}

    told.connect(receive)
    run(None, steps())
    asyncio.run(arun(None, steps()))
    assert heard == [True, True]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_waits_for_nobody_of_its_parent() -> None:
    assert queues.join("a", 5)
    child = os.fork()
    if child == 0:
        os._exit(0 if queues.join("a", 0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    queues.leave("a")
