"""What is known of sessions, and what may be shown of them: no I/O, no Django."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple, TypeVar

from . import codec
from .backends.base import MAX_TIME
from .codec import Place, Record
from .devices import ClientInfo, client_info
from .sealing import UnreadableError

T = TypeVar("T")

MAX_KEY_LENGTH = 255


class Meta(NamedTuple):
    session_key: str | None  # None: anonymous
    client: Any = None  # the client description, whatever JSON it is


class Stored(NamedTuple):
    """A session as it is stored: its record with the body opened."""

    id: str
    place: Place
    record: Record
    body: bytes

    def __repr__(self) -> str:
        return "<Stored %s>" % codec.handle_of(self.place.locator, self.place.field)


class SessionInfo:
    """What may be shown of a session. It holds no id."""

    __slots__ = ("_meta", "_place", "_record", "is_current", "session_key")

    def __init__(
        self, session_key: str, place: Place, record: Record, meta: bytes, is_current: bool
    ) -> None:
        self.session_key = session_key
        self._place, self._record, self._meta = place, record, meta
        self.is_current = is_current

    def __repr__(self) -> str:
        return "<SessionInfo %s>" % self.handle

    # Found when asked for: a page may have 10,000 of these.

    @property
    def handle(self) -> str:
        return codec.handle_of(self._place.locator, self._place.field)

    @property
    def client(self) -> ClientInfo | None:
        """The client description, None where there is none that can be read."""
        try:
            return client_info(meta_of(self._meta).client)
        except UnreadableError:
            return None

    @property
    def created_at(self) -> datetime:
        return to_datetime(self._record.created)

    @property
    def last_seen_at(self) -> datetime:
        return to_datetime(self._record.last_seen)

    @property
    def expires_at(self) -> datetime | None:
        """None: never."""
        ends = [time for time in (self._record.expires, self._record.absolute) if time]
        return to_datetime(min(ends)) if ends else None


@dataclasses.dataclass(frozen=True)
class KeyInfo:
    """A session key, the number of its sessions and the last time that one of them was seen.

    ``is_exact`` is False where more of its sessions may lie elsewhere, under another secret.
    """

    session_key: str
    count: int
    last_seen_at: datetime
    is_exact: bool = True

    def plus(self, other: KeyInfo | None) -> KeyInfo:
        """This key's, with what was found of it under another secret."""
        if other is None:
            return self
        seen = max(self.last_seen_at, other.last_seen_at)
        return dataclasses.replace(self, count=self.count + other.count, last_seen_at=seen)


def check_key(session_key: object) -> str:
    """``session_key`` where it can be one; raises TypeError or ValueError."""
    if not isinstance(session_key, str):
        raise TypeError("A session key must be a str, not %s." % type(session_key).__name__)
    if not 0 < len(session_key) <= MAX_KEY_LENGTH:
        raise ValueError("A session key must have 1 to %d characters." % MAX_KEY_LENGTH)
    try:
        session_key.encode()
    except UnicodeEncodeError:
        raise ValueError("A session key must not hold lone surrogates.") from None
    return session_key


_dumps = json.JSONEncoder(separators=(",", ":")).encode
_loads = json.JSONDecoder().decode


def meta_text(meta: Meta) -> bytes:
    session_key, client = meta
    name = "null" if session_key is None else _dumps(session_key)  # quick, for it is a str
    return (("[%s]" % name) if client is None else "[%s,%s]" % (name, _dumps(client))).encode()


def meta_of(text: bytes) -> Meta:
    """Raises UnreadableError."""
    try:
        session_key, *client = _loads(text.decode())
        return Meta(session_key if session_key is None else check_key(session_key), *client)
    except (ValueError, TypeError, RecursionError):
        raise UnreadableError("Its meta part is torn.") from None


def to_datetime(milliseconds: int) -> datetime:
    # A header that was edited by hand may hold any number.
    return datetime.fromtimestamp(min(milliseconds, MAX_TIME) / 1000, tz=timezone.utc)


class Page(list[T]):
    """A list, and in ``cursor`` where the next page begins: None where there is none."""

    cursor: str | None = None

    @classmethod
    def of(cls, items: Sequence[T], cursor: str | None) -> Page[T]:
        page = cls(items)
        page.cursor = cursor
        return page
