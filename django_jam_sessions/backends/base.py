"""The contract of a backend, and the rules that every backend shares.

A method ``x`` blocks; its twin ``ax`` is awaited. ``ttl`` is milliseconds, None for no expiry. What
a backend can't do now it says with SessionStoreUnavailable. "Live" is judged by the store's clock.
"""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

from ..codec import PLAIN, Change, Place, Record
from .threads import in_thread

MAX_TIME = 253_402_300_799_000  # ms: the end of the year 9999, the last that datetime knows


@dataclasses.dataclass(frozen=True)
class Found:
    """One locator that scan() met, with up to SAMPLE of its sessions."""

    locator: str
    count: int
    sessions: list[tuple[bytes, Record]]


SAMPLE = 100  # sessions per locator that scan() reads


class Limit(NamedTuple):
    """How many live records a locator may hold, and what gives way to one more."""

    sessions: int
    ends_oldest: bool  # the ones that were created first go; else the new one is refused


Leaving = list[bytes] | None
"""The fields that must go before a locator's live records are one more; None: that is refused."""

Inserted = bool | list[bytes] | None
"""True: stored. A list: stored, and these fields had to go for it. False: the place is taken. None:
refused by the limit. In the last two cases nothing is stored or removed."""

Outcome = bool | Record
"""True: done. False: no such live record. A Record: what is stored there instead, nothing done."""

Listing = tuple[list[tuple[bytes, Record]], str | None]
"""(field, record without its body) pairs, and the cursor of the next page."""

Scan = tuple[list[Found], str | None]

Purged = tuple[list[tuple[Place, Record]], str | None]
"""What was removed, without bodies, and the cursor of the next page."""


class Backend(ABC):
    """Records under locators. Each method is atomic; a twin inherited from here uses a thread."""

    def now(self) -> int:
        """The store's clock, in milliseconds of the Unix epoch."""
        return time.time_ns() // 1_000_000

    async def anow(self) -> int:
        """See now(). Where the store has a clock of its own, override both."""
        return self.now()

    @abstractmethod
    def insert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None = None
    ) -> Inserted:
        """Store a new record, in one step with what the limit asks for."""

    @abstractmethod
    def fetch(self, place: Place) -> Record | None:
        """The live record, None where there is none."""

    @abstractmethod
    def replace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        """Give a live record a new body and a new version.

        Only where its version is ``expected`` (None: any) and its secret is the change's. A change
        whose version the record has already was made before: True.
        """

    @abstractmethod
    def touch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        """Move a live record's expiry and its last-seen time, and not its version, which must be
        ``expected`` (None: any)."""

    @abstractmethod
    def move(
        self,
        source: Place,
        target: Place,
        record: Record | bytes,
        expected: bytes | None,
        ttl: int | None,
        limit: Limit | None = None,
    ) -> Inserted | Record:
        """Store ``record`` at ``target`` and remove the one at ``source``, as replace() would.

        A limit is given where the locators differ, and holds for the target's, as in insert().

        Within one locator it is one atomic step. Between two it inserts, then removes, and where
        that fails takes the insert back. ``bytes`` are a version: the stored record goes over
        with that one and otherwise as it is, its expiry too, within its locator; only a plain one,
        since a sealed one opens nowhere else.
        """

    @abstractmethod
    def remove(self, place: Place) -> bool:
        """Remove a live record; False where there was none."""

    @abstractmethod
    def remove_all(self, locator: str, keep: bytes | None = None) -> bool:
        """Remove every record of a locator but the field ``keep``; False where none was held,
        or where ``keep`` isn't live, and then nothing is removed."""

    @abstractmethod
    def list(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        """A page of about ``limit`` live records; sweeps expired ones that it meets."""

    @abstractmethod
    def count(self, locator: str) -> int:
        """How many live records; above 1,000 expired ones that nobody swept may count."""

    @abstractmethod
    def scan(self, limit: int, cursor: str | None = None) -> Scan:
        """A page of locators, bounded by work: it may be short, or empty with a cursor."""

    @abstractmethod
    def purge(self, cursor: str | None = None) -> Purged:
        """Remove a page, bounded by work, of what has expired."""

    async def ainsert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None = None
    ) -> Inserted:
        """See insert()."""
        return await in_thread(self.insert, place, record, ttl, limit)

    async def afetch(self, place: Place) -> Record | None:
        """See fetch()."""
        return await in_thread(self.fetch, place)

    async def areplace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        """See replace()."""
        return await in_thread(self.replace, place, change, expected, ttl)

    async def atouch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        """See touch()."""
        return await in_thread(self.touch, place, expected, ttl, meta)

    async def amove(
        self,
        source: Place,
        target: Place,
        record: Record | bytes,
        expected: bytes | None,
        ttl: int | None,
        limit: Limit | None = None,
    ) -> Inserted | Record:
        """See move()."""
        return await in_thread(self.move, source, target, record, expected, ttl, limit)

    async def aremove(self, place: Place) -> bool:
        """See remove()."""
        return await in_thread(self.remove, place)

    async def aremove_all(self, locator: str, keep: bytes | None = None) -> bool:
        """See remove_all()."""
        return await in_thread(self.remove_all, locator, keep)

    async def alist(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        """See list()."""
        return await in_thread(self.list, locator, limit, cursor)

    async def acount(self, locator: str) -> int:
        """See count()."""
        return await in_thread(self.count, locator)

    async def ascan(self, limit: int, cursor: str | None = None) -> Scan:
        """See scan()."""
        return await in_thread(self.scan, limit, cursor)

    async def apurge(self, cursor: str | None = None) -> Purged:
        """See purge()."""
        return await in_thread(self.purge, cursor)


METHODS = sorted(Backend.__abstractmethods__ | {"now"})
"""The contract's names; a custom backend has each of them and its twin with an ``a`` before it."""


def expired(record: Record, now: int) -> bool:
    return 0 < record.expires <= now or 0 < record.absolute <= now


def live(record: Record | None, place: Place, now: int) -> Record | None:
    """``record`` where it is there for ``place``: not expired, and of its issuer."""
    if record is None or expired(record, now):
        return None
    return record if place.issuer in (None, record.issuer) else None


def stamped(record: Record, ttl: int | None, now: int) -> Record:
    """``record`` as it is stored now; its absolute expiry stays."""
    return record._replace(expires=expiry(ttl, now), last_seen=now)


def expiry(ttl: int | None, now: int) -> int:
    return 0 if ttl is None else max(1, min(now + ttl, MAX_TIME))


def leaving(held: Iterable[tuple[bytes, Record]], limit: Limit) -> Leaving:
    """``held`` are the live records."""
    oldest = sorted((record.created, field) for field, record in held)
    surplus = max(0, len(oldest) + 1 - limit.sessions)
    if surplus and not limit.ends_oldest:
        return None
    return [field for _, field in oldest[:surplus]]


def refused(
    stored: Record | None,
    version: bytes | None,
    expected: bytes | None,
    secret_id: bytes | None = None,
) -> Outcome | None:
    """What a write answers without being made: None where it may go ahead."""
    if stored is None:
        return False
    if stored.version == version:
        return True
    if expected not in (None, stored.version) or secret_id not in (None, stored.secret_id):
        return stored
    return None


def carried(record: Record | bytes) -> bytes | None:
    """The secret id that a record must have to be moved as it is: none, for then it is plain."""
    return PLAIN if isinstance(record, bytes) else None


def changed(stored: Record, change: Change, ttl: int | None, now: int) -> Record:
    """``stored`` with ``change`` made to it."""
    return stored._replace(
        version=change.version,
        expires=expiry(ttl, now),
        last_seen=now,
        meta=stored.meta if change.meta is None else change.meta,
        body=change.body,
    )
