"""What SessionModule's methods do, as steps: its two faces run and await these."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal

from . import signals
from .codec import MODULE, Place, place_of, place_of_handle
from .exceptions import SessionDataTooLarge, SessionNotFoundError
from .infos import KeyInfo, Meta, Page, SessionInfo, check_key
from .operations import Operations
from .serialization import serialize
from .signals import CLEARED, LOGOUT, REVOKED, session_ended, session_reworked
from .steps import Steps

MAX_LIMIT = 10_000  # sessions, or keys, on a page
RAISE: Any = object()  # get() without a default


class ModuleSteps:
    def __init__(
        self,
        operations: Operations,
        id_factory: Callable[[], str],
        session_ttl: float | None,
        max_data_bytes: float,
    ) -> None:
        self.operations = operations
        self.id_factory = id_factory
        self.max_data_bytes = max_data_bytes
        self.ttl = None if session_ttl is None else round(session_ttl * 1000)

    def create(self, session_key: str, data: dict[str, Any]) -> Steps[str]:
        body, meta = self._body(data), Meta(check_key(session_key))
        while True:
            issued = self.operations.issue(session_key, MODULE, self.id_factory)
            created = yield from self.operations.create(issued, meta, body, self.ttl)
            if created is not None:
                yield from signals.created(session_key, issued.place)
                return issued.id

    def get(self, session_id: str, default: Any = RAISE) -> Steps[Any]:
        stored = yield from self.operations.load(session_id, MODULE)
        data = None if stored is None else self.operations.read(stored, json.loads)
        if data is not None:
            return data
        if default is RAISE:
            raise _not_found()
        return default

    def update(self, session_id: str, data: dict[str, Any]) -> Steps[None]:
        body = self._body(data)
        done = yield from self.operations.overwrite(session_id, MODULE, body, self.ttl)
        _found(done is not None)

    def delete(self, session_id: str) -> Steps[None]:
        key = yield from self._key_of(session_id, session_ended)
        _found((yield from self.operations.delete(session_id, MODULE)))
        yield from signals.ended(key, _place(session_id), LOGOUT)

    def rework(self, session_id: str) -> Steps[str]:
        key = yield from self._key_of(session_id, session_reworked)
        new_id = yield from self.operations.rework(session_id, MODULE, self.id_factory)
        if new_id is None:
            raise _not_found()
        yield from signals.reworked(key, _place(new_id), _place(session_id))
        return new_id

    def clear(self, session_key: str) -> Steps[None]:
        _found((yield from self.operations.clear(session_key)), "This key has no sessions.")

    def clear_others(self, session_id: str) -> Steps[None]:
        key = yield from self._key_of(session_id, session_ended)
        _found((yield from self.operations.clear_others(session_id)))
        yield from signals.ended(key, _place(session_id).locator, CLEARED)

    def end(self, session_key: str, handle: str) -> Steps[None]:
        _found((yield from self.operations.end(session_key, handle)))
        place = place_of_handle(handle)
        if place is not None:
            yield from signals.ended(session_key, place, REVOKED)

    def _key_of(self, session_id: str, signal: Signal) -> Steps[str | None]:
        """The session key for a signal: it takes a look at the store, so only where somebody
        listens."""
        place = place_of(session_id) if signal.receivers else None
        return None if place is None else (yield from self.operations.key_of(place))

    def list(
        self, session_key: str, current: str | None, limit: int, cursor: str | None
    ) -> Steps[Page[SessionInfo]]:
        _check_limit(limit)
        return Page.of(*(yield from self.operations.list(session_key, current, limit, cursor)))

    def count(self, session_key: str) -> Steps[int]:
        return (yield from self.operations.count(session_key))

    def keys(self, limit: int, cursor: str | None) -> Steps[Page[KeyInfo]]:
        _check_limit(limit)
        return Page.of(*(yield from self.operations.keys(limit, cursor)))

    def purge(self) -> Steps[int]:
        return (yield from self.operations.purge())

    def _body(self, data: dict[str, Any]) -> bytes:
        body = serialize(data)
        if len(body) > self.max_data_bytes:
            raise SessionDataTooLarge(len(body), self.max_data_bytes)
        return body


def _place(session_id: str) -> Place:
    """The place of an id that was found."""
    place = place_of(session_id)
    if place is None:
        raise _not_found()
    return place


def _check_limit(limit: int) -> None:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_LIMIT:
        raise ValueError("limit must be an int of 1 to %d." % MAX_LIMIT)


def _not_found(message: str = "There is no such session.") -> SessionNotFoundError:
    return SessionNotFoundError(message)


def _found(found: bool, message: str = "There is no such session.") -> None:
    if not found:
        raise _not_found(message)
