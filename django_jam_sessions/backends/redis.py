"""Sessions on Redis 6.2+ or Valkey: one hash per locator, one round trip per operation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from .. import codec
from ..codec import Change, Place, Record
from ..exceptions import SessionStoreUnavailable
from ..patience import DEFAULTS, Timeouts, left
from ..steps import Steps, arun, run
from . import scripts
from .base import (
    SAMPLE,
    Backend,
    Found,
    Inserted,
    Limit,
    Listing,
    Outcome,
    Purged,
    Scan,
    refused,
)
from .calls import Call, Calls
from .clients import Factory, client_factory
from .replies import checked, fetched, listed, number
from .strays import Strays
from .transport import Transport
from .wire import Reply

PURGE_KEYS = 1000  # that one purge() looks at, or as many as SCAN comes to
GONE = 1  # what stands for a removal that a lost reply leaves in doubt: any number but 0


class RedisBackend(Backend):
    def __init__(self, uri: str | Factory, path: str, timeouts: Timeouts = DEFAULTS) -> None:
        allowed = set(codec.ALPHABET + codec.ALPHABET.upper() + "_-.:")
        if not isinstance(path, str) or not path or set(path) - allowed:
            raise ImproperlyConfigured(
                "sessions_path must consist of ASCII letters, digits, '_', '-', '.' and ':'."
            )
        self.prefix = path + ":"
        self.redis = Transport(client_factory(uri, timeouts), timeouts)
        self._timeouts = timeouts
        self._offset: int | None = None  # the server's clock less ours, in ms
        self._calls = Calls(self.prefix)
        self._strays = Strays(self._calls)

    # Writes reply with the server's time, so that it is asked for only once.

    def now(self) -> int:
        if self._offset is None:
            self._learn_time(self.redis.command("TIME"))
        return _clock() + (self._offset or 0)

    async def anow(self) -> int:
        if self._offset is None:
            self._learn_time(await self.redis.acommand("TIME"))
        return _clock() + (self._offset or 0)

    def _learn_time(self, reply: Sequence[int | bytes]) -> None:
        seconds, microseconds = (int(part) for part in checked(reply, (list, tuple)))
        self._offset = seconds * 1000 + microseconds // 1000 - _clock()

    def _in_time(
        self, call: Callable[..., Call], *arguments: Any, gone: Reply = None
    ) -> Steps[Reply]:
        """What the call replies that is given a deadline too: when its caller will have given up.

        Where a clock was set, or another server answers, the deadline may have been wrong, once.
        """
        total, read, retries = self._timeouts.total, self._timeouts.read, self._timeouts.retries
        if self._offset is None:
            self._learn_time((yield "command", "TIME"))
        for _ in range(2):
            patience = min(left(total), read * (1 + retries))
            deadline = _clock() + (self._offset or 0) + round(patience * 1000)
            reply: Reply = yield "script", *call(*arguments, deadline), gone
            if not isinstance(reply, int) or reply >= scripts.NO_ROOM:
                return reply
            self._offset = -reply - _clock()
        raise SessionStoreUnavailable("Redis was too late.")

    def _outcome(self, reply: Reply) -> Outcome:
        if not isinstance(reply, int):
            return codec.unpack(checked(reply, bytes)) or False
        if reply > GONE:
            self._offset = reply - _clock()
        return reply != 0

    def _done(self, reply: Reply) -> bool:
        return self._outcome(reply) is True

    # The contract. Each pair: the arguments, one call, and what its reply means.

    def insert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None = None
    ) -> Inserted:
        return run(self.redis, self._insert(place, record, ttl, limit))

    async def ainsert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None = None
    ) -> Inserted:
        return await arun(self.redis, self._insert(place, record, ttl, limit))

    def _insert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None
    ) -> Steps[Inserted]:
        try:
            reply = yield from self._in_time(self._calls.insert, place, record, ttl, limit)
            if self._strays:
                yield from self._strays.tidy()
        except BaseException:
            self._strays.append((place, record.version))
            raise
        return self._inserted(reply)

    def _inserted(self, reply: Reply) -> Inserted:
        if isinstance(reply, list):
            now, *gone = reply
            return gone if self._done(now) else False
        return None if reply == scripts.NO_ROOM else self._done(reply)

    def fetch(self, place: Place) -> Record | None:
        return fetched(place, self.redis.script(*self._calls.fetch(place)))

    async def afetch(self, place: Place) -> Record | None:
        return fetched(place, await self.redis.ascript(*self._calls.fetch(place)))

    def replace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        return self._outcome(self.redis.script(*self._calls.replace(place, change, expected, ttl)))

    async def areplace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        call = self._calls.replace(place, change, expected, ttl)
        return self._outcome(await self.redis.ascript(*call))

    def touch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        return self._outcome(self.redis.script(*self._calls.touch(place, expected, ttl, meta)))

    async def atouch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        call = self._calls.touch(place, expected, ttl, meta)
        return self._outcome(await self.redis.ascript(*call))

    def move(
        self,
        source: Place,
        target: Place,
        record: Record | bytes,
        expected: bytes | None,
        ttl: int | None,
        limit: Limit | None = None,
    ) -> Inserted | Record:
        return run(self.redis, self._move(source, target, record, expected, ttl, limit))

    async def amove(
        self,
        source: Place,
        target: Place,
        record: Record | bytes,
        expected: bytes | None,
        ttl: int | None,
        limit: Limit | None = None,
    ) -> Inserted | Record:
        return await arun(self.redis, self._move(source, target, record, expected, ttl, limit))

    def _move(
        self,
        source: Place,
        target: Place,
        record: Record | bytes,
        expected: bytes | None,
        ttl: int | None,
        limit: Limit | None,
    ) -> Steps[Inserted | Record]:
        if isinstance(record, bytes):
            version, value = record, b""
        elif source.locator == target.locator:
            version, value = record.version, codec.pack(record)
        else:
            return (yield from self._move_across(source, target, record, expected, ttl, limit))
        call = self._calls.rename
        reply = yield from self._in_time(call, source, target, version, expected, value, ttl)
        return self._outcome(reply)

    def _move_across(
        self,
        source: Place,
        target: Place,
        record: Record,
        expected: bytes | None,
        ttl: int | None,
        limit: Limit | None,
    ) -> Steps[Inserted | Record]:
        if limit is not None:  # nobody gives way to a session that was ended meanwhile
            record_there = fetched(source, (yield "script", *self._calls.fetch(source)))
            refusal = refused(record_there, None, expected)
            if refusal is not None:
                return refusal
        # Where it fails, what may be stored has an id that nobody is told.
        try:
            reply = yield from self._in_time(self._calls.insert, target, record, ttl, limit)
            inserted = self._inserted(reply)
            if inserted is None or inserted is False:
                return inserted
            reply = yield from self._in_time(self._calls.remove, source, expected, gone=GONE)
            outcome = self._outcome(reply)
            if outcome is not True:
                yield "script", *self._calls.remove(target, record.version)
            yield from self._strays.tidy()
        except BaseException:
            self._strays.append((target, record.version))
            raise
        return inserted if outcome is True else outcome

    def remove(self, place: Place) -> bool:
        return self._done(self.redis.script(*self._calls.remove(place), GONE))

    async def aremove(self, place: Place) -> bool:
        return self._done(await self.redis.ascript(*self._calls.remove(place), GONE))

    def remove_all(self, locator: str, keep: bytes | None = None) -> bool:
        if keep is None:
            return bool(self.redis.command("UNLINK", self.prefix + locator, gone=GONE))
        return self._done(self.redis.script(*self._calls.remove_others(locator, keep)))

    async def aremove_all(self, locator: str, keep: bytes | None = None) -> bool:
        if keep is None:
            return bool(await self.redis.acommand("UNLINK", self.prefix + locator, gone=GONE))
        return self._done(await self.redis.ascript(*self._calls.remove_others(locator, keep)))

    def list(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        return listed(locator, self.redis.script(*self._calls.list(locator, limit, cursor)))

    async def alist(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        return listed(locator, await self.redis.ascript(*self._calls.list(locator, limit, cursor)))

    def count(self, locator: str) -> int:
        return number(self.redis.script(*self._calls.count(locator)))

    async def acount(self, locator: str) -> int:
        return number(await self.redis.ascript(*self._calls.count(locator)))

    def scan(self, limit: int, cursor: str | None = None) -> Scan:
        return run(self.redis, self._scan(limit, cursor))

    async def ascan(self, limit: int, cursor: str | None = None) -> Scan:
        return await arun(self.redis, self._scan(limit, cursor))

    def _scan(self, limit: int, cursor: str | None) -> Steps[Scan]:
        keys, following = yield from self._locators(limit, cursor or "")
        replies = yield "many", scripts.LIST, keys, (SAMPLE, "0")
        pages = {
            key: listed(key.removeprefix(self.prefix), reply)
            for key, reply in zip(keys, replies, strict=True)
        }
        large = [key for key, (_, more) in pages.items() if more]
        counts = dict(zip(large, (yield "many", scripts.COUNT, large, ()), strict=True))
        found = [
            Found(key.removeprefix(self.prefix), counts.get(key, len(sessions)), sessions)
            for key, (sessions, _) in pages.items()
            if sessions
        ]
        return found, following or None

    def _locators(self, limit: int, cursor: str) -> Steps[tuple[Sequence[str], str]]:
        keys, following = yield "keys", self.prefix + "*", limit, cursor
        names = {key.decode("ascii", "replace") for key in keys}  # SCAN may repeat itself
        return [key for key in names if codec.is_locator(key.removeprefix(self.prefix))], following

    def purge(self, cursor: str | None = None) -> Purged:
        return run(self.redis, self._purge(cursor or ""))

    async def apurge(self, cursor: str | None = None) -> Purged:
        return await arun(self.redis, self._purge(cursor or ""))

    def _purge(self, cursor: str) -> Steps[Purged]:
        removed: list[tuple[Place, Record]] = []
        keys, following = yield from self._locators(PURGE_KEYS, cursor)
        replies = yield "many", scripts.PURGE, keys, ("0",)
        for key, reply in zip(keys, replies, strict=True):
            locator = key.removeprefix(self.prefix)
            while True:
                page, position = listed(locator, reply)
                removed += [(Place(locator, field), record) for field, record in page]
                if position is None:
                    break
                reply = yield "script", scripts.PURGE, key, (position,)
        return removed, following or None


def _clock() -> int:
    return time.time_ns() // 1_000_000
