"""What is asked of a store whose records somebody else has written, and what may come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted

from django_jam_sessions import SessionModule, codec
from django_jam_sessions.backends import base
from django_jam_sessions.backends.base import (
    Backend,
    Found,
    Inserted,
    Limit,
    Listing,
    Outcome,
    Purged,
    Scan,
)
from django_jam_sessions.codec import Change, Place, Record
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.exceptions import (
    SessionLimitReached,
    SessionNotFoundError,
    SessionStoreUnavailable,
)
from django_jam_sessions.infos import SessionInfo, check_key

KEY = "17"


class Planted(Backend):
    """Holds one record, wherever it is looked for, and as many writes as anybody likes."""

    value = b""

    def _stored(self, place: Place) -> Record | None:
        return base.live(codec.unpack(self.value), place, self.now())

    def insert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None = None
    ) -> Inserted:
        return True

    def fetch(self, place: Place) -> Record | None:
        return self._stored(place)

    def replace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        stored = self._stored(place)
        answer = base.refused(stored, change.version, expected, change.secret_id)
        if stored is not None and answer is None:
            codec.pack(base.changed(stored, change, ttl, self.now()))
        return answer is None if answer is None else answer

    def touch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        answer = base.refused(self._stored(place), None, expected)
        return True if answer is None else answer

    def move(
        self,
        source: Place,
        target: Place,
        record: Record | bytes,
        expected: bytes | None,
        ttl: int | None,
        limit: Limit | None = None,
    ) -> Inserted | Record:
        version = record if isinstance(record, bytes) else record.version
        answer = base.refused(self._stored(source), version, expected, base.carried(record))
        if answer is None and isinstance(record, Record):
            codec.pack(base.stamped(record, ttl, self.now()))
        return True if answer is None else answer

    def remove(self, place: Place) -> bool:
        return self._stored(place) is not None

    def remove_all(self, locator: str, keep: bytes | None = None) -> bool:
        return True

    def _page(self) -> list[tuple[bytes, Record]]:
        with suppress(codec.UnknownFormatError):
            if (record := codec.unpack(self.value)) is not None:
                return [(b"f" * 16, record._replace(body=b""))]
        return []

    def list(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        return self._page(), None

    def count(self, locator: str) -> int:
        return len(self._page())

    def scan(self, limit: int, cursor: str | None = None) -> Scan:
        return [Found("0" * 15, 1, self._page())], None

    def purge(self, cursor: str | None = None) -> Purged:
        return [(Place("0" * 15, field), record) for field, record in self._page()], None


def use(module: SessionModule, session_id: str) -> None:
    """Do with a session, and with its key's, whatever SessionModule does: it is there, or is not,
    or the store can't tell."""
    sync = module.sync
    data = attempt(sync.get, session_id)
    assert data is None or isinstance(data, dict)
    for info in attempt(sync.list, KEY) or ():
        show(info)
    for key in attempt(sync.keys) or ():
        check_key(key.session_key)
        assert key.last_seen_at.tzinfo is not None
    handle = codec.handle_of(*place_of(session_id)[:2])
    if (found := attempt(find, module, handle, session_id)) is not None:
        show(found[0])
    for method, *arguments in (
        (sync.purge,),
        (sync.count, KEY),
        (sync.create, KEY, {}),
        (sync.clear_others, session_id),
        (sync.update, session_id, {"n": 1}),
        (sync.rework, session_id),
        (sync.delete, session_id),
        (sync.end, KEY, handle),
        (sync.clear, KEY),
    ):
        attempt(method, *arguments)


def find(module: SessionModule, handle: str, current: str) -> Any:
    """What the admin's page of a session asks."""
    from django_jam_sessions.steps import run

    return run(module.backend, module.operations.find(handle, current))


def use_engine(session_id: str) -> None:
    """The same for a SessionStore: to end a session is no surprise, any other error is."""
    for change in ("nothing", "save", "cycle_key", "touch", "flush"):
        store = SessionStore(session_id)
        with suppress(SessionStoreUnavailable, UpdateError, SessionInterrupted):
            store.load()
            if store.info is not None:
                show(store.info)
            store.get("x")
            # Whose date or number is none fails Django's own rules, in Django's own code.
            store.pop("_session_expiry", None)
            if change != "nothing":
                store["n"] = 1
                getattr(store, change)()


def show(info: SessionInfo) -> None:
    """What pages and the API show of a session: each is text that can be sent."""
    client = info.client
    device = client.device if client else ""
    times = info.created_at, info.last_seen_at, info.expires_at
    assert all(time is None or time.tzinfo is not None for time in times)
    json.dumps([info.session_key, info.handle, device, *map(str, times)]).encode()
    for shown in (info.session_key, repr(info), device, client.ip if client else ""):
        shown.encode()


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    with suppress(SessionNotFoundError, SessionStoreUnavailable, SessionLimitReached):
        return function(*arguments)
    return None


def place_of(session_id: str) -> Place:
    place = codec.place_of(session_id)
    assert place is not None
    return place
