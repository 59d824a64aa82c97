"""What the site's workers and the server hold, every few seconds, and whether it grows."""

from __future__ import annotations

import contextlib
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# What a straight line through the samples may rise by, from its first to its last. One file or
# connection more per restart is more than that in half an hour, and so are 200 bytes per request.
MOST = {
    "memory": 4096.0,
    "files": 6.0,
    "threads": 4.0 + min(32, (os.cpu_count() or 1) + 4),  # an event loop's pool fills at its time
    "connections": 6.0,
    "clients": 12.0,
    "keys": 5.0,
    "server's memory": 512.0,
}
UNITS = {"memory": "KiB", "server's memory": "KiB"}


@dataclass
class Sample:
    at: float  # seconds since the start
    name: str  # whose
    values: dict[str, float]


def workers(parent: int) -> list[int]:
    """The process ids of uvicorn's workers: all its children but multiprocessing's own helper."""
    children = Path("/proc/%d/task/%d/children" % (parent, parent)).read_text().split()
    return [
        int(each)
        for each in children
        if b"resource_tracker" not in Path("/proc/%s/cmdline" % each).read_bytes()
    ]


def of_worker(pid: int, port: int) -> dict[str, float]:
    """``connections``: sockets to the server on that port, whatever their state."""
    lines = Path("/proc/%d/status" % pid).read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    links = _links(pid)
    to_server = _inodes(pid, port)
    return {
        "memory": float(status["VmRSS"].split()[0]),
        "files": float(len(links)),
        "threads": float(status["Threads"]),
        "connections": float(len(to_server & set(links))),
    }


def _links(pid: int) -> list[str]:
    links = []
    for each in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink("/proc/%d/fd/%s" % (pid, each)))
    return links


def _inodes(pid: int, port: int) -> set[str]:
    """Of sockets whose other end is that port of 127.0.0.1, as /proc/pid/fd names them."""
    rows = [line.split() for line in Path("/proc/%d/net/tcp" % pid).read_text().splitlines()[1:]]
    other_end = "0100007F:%04X" % port
    return {"socket:[%s]" % row[9] for row in rows if row[2] == other_end}


def of_server(port: int) -> dict[str, float]:
    """Empty where it does not answer."""
    retry = Retry(NoBackoff(), 0)
    try:
        with redis.Redis(port=port, socket_timeout=2, retry=retry) as client:
            info = client.info()
            return {
                "clients": info["connected_clients"] - 1.0,
                "keys": float(client.dbsize()),
                "server's memory": info["used_memory"] / 1024,
            }
    except redis.RedisError:
        return {}


@dataclass
class Course:
    """Of one figure over time: from its first sample to its last."""

    first: float  # of the line through them
    last: float
    slope: float  # per minute
    noise: float  # standard deviation from the line
    least: float
    most: float

    @property
    def drift(self) -> float:
        return self.last - self.first


def course(points: list[tuple[float, float]]) -> Course:
    times, values = [at for at, _ in points], [value for _, value in points]
    slope, start = statistics.linear_regression(times, values)
    apart = [value - (start + slope * at) for at, value in points]
    first, last = start + slope * times[0], start + slope * times[-1]
    return Course(
        first, last, slope * 60, statistics.pstdev(apart), float(min(values)), float(max(values))
    )


def courses(samples: list[Sample], since: float) -> dict[tuple[str, str], Course]:
    """By who and what; of what has at least three samples after ``since`` seconds."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for sample in samples:
        for what, value in sample.values.items():
            if sample.at >= since:
                points.setdefault((sample.name, what), []).append((sample.at, value))
    return {key: course(found) for key, found in points.items() if len(found) >= 3}
