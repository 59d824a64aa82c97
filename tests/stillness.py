"""A clock that stands still until it is moved: this process's, and the server's with it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from django_jam_sessions.backends import redis as redis_backend
from django_jam_sessions.backends import scripts
from django_jam_sessions.backends.scripts import Script

ASKED = "redis.call('TIME')"


class StillClock:
    """Milliseconds of the Unix epoch, for whoever asks this process or the server's scripts.

    The scripts are the real ones, but for the one place where they ask the server's TIME: a server
    lets nobody set its clock. It starts an hour ahead, so that nothing expires by the server's own.
    """

    def __init__(self, client: redis.Redis, name: str) -> None:
        self._client, self.name = client, name
        self.set(time.time_ns() // 1_000_000 + 3_600_000)

    def set(self, milliseconds: int) -> None:
        self.now = milliseconds
        seconds, rest = divmod(milliseconds, 1000)
        self._client.mset({self.name + ":s": seconds, self.name + ":us": rest * 1000})

    def move(self, milliseconds: int) -> None:
        self.set(self.now + milliseconds)

    def script(self, script: Script) -> Script:
        assert ASKED in script.text
        told = "redis.call('MGET', '%s:s', '%s:us')" % (self.name, self.name)
        text = script.text.replace(ASKED, told)
        return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@contextmanager
def still_clock(client: redis.Redis, name: str) -> Iterator[StillClock]:
    clock = StillClock(client, name)

    async def anow(backend: object) -> int:
        return clock.now

    with pytest.MonkeyPatch.context() as patch:
        for each, script in list(vars(scripts).items()):
            if isinstance(script, Script):
                patch.setattr(scripts, each, clock.script(script))
        patch.setattr(redis_backend.RedisBackend, "now", lambda backend: clock.now)
        patch.setattr(redis_backend.RedisBackend, "anow", anow)
        patch.setattr(time, "time_ns", lambda: clock.now * 1_000_000)
        yield clock
    client.delete(name + ":s", name + ":us")
