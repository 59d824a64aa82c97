"""The calls that the Redis backend makes: which script, which key, which arguments."""

from __future__ import annotations

from collections.abc import Sequence

from .. import codec
from ..codec import Change, Place, Record
from . import scripts
from .base import Limit
from .scripts import Script
from .wire import Argument

Call = tuple[Script, str, Sequence[Argument]]
"""What Transport.script() takes."""

NO_ISSUER = b"\0"


class Calls:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def insert(
        self,
        place: Place,
        record: Record,
        ttl: int | None,
        limit: Limit | None,
        deadline: int,
    ) -> Call:
        before, between, meta, body = codec.parts(record)
        room: tuple[int, ...] = () if limit is None else (limit.sessions, int(limit.ends_oldest))
        arguments = (place.field, before, between, meta + body, _optional(ttl), deadline, *room)
        return scripts.INSERT, self.prefix + place.locator, arguments

    def fetch(self, place: Place) -> Call:
        return scripts.FETCH, self.prefix + place.locator, (place.field,)

    def replace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Call:
        # Fixed in length, and one argument: each costs the client time.
        head = (place.issuer or NO_ISSUER) + change.secret_id + change.version + (expected or b"")
        meta = () if change.meta is None else (change.meta,)
        arguments = (place.field, head, _optional(ttl), change.body, *meta)
        return scripts.REPLACE, self.prefix + place.locator, arguments

    def touch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None
    ) -> Call:
        issuer = place.issuer or b""
        arguments = (place.field, issuer, expected or b"", _optional(ttl), *_meta(meta))
        return scripts.TOUCH, self.prefix + place.locator, arguments

    def rename(
        self,
        source: Place,
        target: Place,
        version: bytes,
        expected: bytes | None,
        value: bytes,
        ttl: int | None,
        deadline: int,
    ) -> Call:
        """A move within a locator; ``value`` is empty where what is stored goes along."""
        issuer = source.issuer or b""
        fields = source.field, target.field, issuer, expected or b"", version
        arguments = (*fields, _optional(ttl), value, deadline)
        return scripts.MOVE, self.prefix + source.locator, arguments

    def remove(
        self, place: Place, expected: bytes | None = None, deadline: int | None = None
    ) -> Call:
        arguments = (place.field, place.issuer or b"", expected or b"", _optional(deadline))
        return scripts.REMOVE, self.prefix + place.locator, arguments

    def remove_others(self, locator: str, keep: bytes) -> Call:
        return scripts.REMOVE_OTHERS, self.prefix + locator, (keep,)

    def list(self, locator: str, limit: int, cursor: str | None) -> Call:
        if cursor is not None and not (cursor.isdecimal() and int(cursor) < 1 << 64):
            raise ValueError("The cursor is not one that was returned.")
        return scripts.LIST, self.prefix + locator, (limit, cursor or "0")

    def count(self, locator: str) -> Call:
        return scripts.COUNT, self.prefix + locator, ()


def _optional(number: int | None) -> str | int:
    return "" if number is None else number


def _meta(meta: bytes | None) -> tuple[str, bytes]:
    return ("0", b"") if meta is None else ("1", meta)
