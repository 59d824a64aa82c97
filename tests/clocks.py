"""All clocks that judge an expiry, stopped at a time of the test's choice."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from django_jam_sessions.backends import redis as redis_backend
from django_jam_sessions.backends import scripts
from django_jam_sessions.backends.scripts import Script

StopAt = Callable[[int], None]
"""Takes milliseconds of the Unix epoch."""

TIME = "local time = redis.call('TIME')"


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> StopAt:
    """Stops the clock of this process, and the one that a Redis server's scripts ask."""
    known = {name: each for name, each in vars(scripts).items() if isinstance(each, Script)}

    def stop(milliseconds: int) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000)
        monkeypatch.setattr(redis_backend.RedisBackend, "now", lambda self: milliseconds)
        monkeypatch.setattr(redis_backend.RedisBackend, "anow", awaited(milliseconds))
        stopped = "local time = {%d, %d}" % (milliseconds // 1000, milliseconds % 1000 * 1000)
        for name, script in known.items():
            assert TIME in script.text
            text = script.text.replace(TIME, stopped)
            sha = hashlib.sha1(text.encode()).hexdigest()
            monkeypatch.setattr(scripts, name, Script(text, sha))

    return stop


def awaited(milliseconds: int) -> Any:
    async def anow(self: object) -> int:
        return milliseconds

    return anow
