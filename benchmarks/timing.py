"""Timing on a noisy machine: contenders take turns, in rounds, in one run; medians are quoted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis

SERVER_CORE, CLIENT_CORE = 0, 1


@contextlib.contextmanager
def awake_cores() -> Iterator[None]:
    """Keep the cores from sleeping: to wake one takes longer than a call. Idle loops yield to all
    others, so that they cost nothing but electricity."""
    loop = (
        "import os\n"
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
        "while os.getppid() == %d:\n"
        "    for _ in range(1_000_000): pass\n" % os.getpid()
    )
    cores = sorted(os.sched_getaffinity(0))
    loops = []
    for core in cores:
        process = subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.DEVNULL)
        os.sched_setaffinity(process.pid, {core})
        loops.append(process)
    os.sched_setaffinity(0, {cores[min(CLIENT_CORE, len(cores) - 1)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for process in loops:
            process.kill()
            process.wait()


@contextlib.contextmanager
def pinned(uri: str) -> Iterator[None]:
    """Keep the server on a core of its own."""
    with redis.Redis.from_url(uri) as client:
        info: Any = client.info("server")
    for thread in os.listdir("/proc/%d/task" % info["process_id"]):
        os.sched_setaffinity(int(thread), {SERVER_CORE})
    yield


def rounds(
    contenders: dict[str, Callable[[], Any]], *, number: int, repeat: int
) -> dict[str, list[float]]:
    """Microseconds per call, one figure a round, the contenders one after another in each."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for function in contenders.values():
        function()
    for _ in range(repeat):
        for name, function in contenders.items():
            started = time.perf_counter()
            for _ in range(number):
                function()
            times[name].append((time.perf_counter() - started) / number * 1e6)
    return times


def async_rounds(
    contenders: dict[str, Callable[[], Any]], *, number: int, repeat: int, in_flight: int
) -> dict[str, list[float]]:
    """As rounds(), for coroutine functions, ``in_flight`` of them at a time."""
    times: dict[str, list[float]] = {name: [] for name in contenders}

    async def worker(function: Callable[[], Any], calls: int) -> None:
        for _ in range(calls):
            await function()

    async def turn(function: Callable[[], Any], calls: int) -> None:
        await asyncio.gather(*(worker(function, calls // in_flight) for _ in range(in_flight)))

    async def run() -> None:
        for function in contenders.values():
            await turn(function, in_flight * 2)
        calls = max(number // in_flight, 1) * in_flight
        for _ in range(repeat):
            for name, function in contenders.items():
                started = time.perf_counter()
                await turn(function, calls)
                times[name].append((time.perf_counter() - started) / calls * 1e6)

    asyncio.run(run())
    return times


def summary(times: dict[str, list[float]], floor: str) -> dict[str, dict[str, float]]:
    """Median, minimum and maximum, and the median of the ratios to the floor, round by round."""
    return {
        name: {
            "median_us": statistics.median(values),
            "min_us": min(values),
            "max_us": max(values),
            "ratio": statistics.median(
                value / base for value, base in zip(values, times[floor], strict=True)
            ),
        }
        for name, values in times.items()
    }
