"""What the engine does: the steps of load, save and their like.

As in engine.py ``session_key`` is the session id here, and the session key the *owner*.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted

from . import signals
from .codec import ENGINE, place_of
from .engine_ids import Whose
from .engine_writes import EngineWrites
from .infos import Meta, Stored
from .signals import session_ended
from .steps import Steps


class EngineSteps(EngineWrites):
    """A store between its loading and its saving; engine.SessionStore is made of it."""

    def _load(self) -> Steps[dict[str, Any]]:
        stored, data = yield from self._find()
        whose = self._whose(data)
        with self._first:
            if "_session_cache" not in self.__dict__:
                self._begin_with(stored, whose)
        return data

    def _data(self) -> Steps[dict[str, Any]]:
        """What SessionBase._get_session() does: what is found first is what is changed, and what a
        save compares with, whoever else of the request is looking for it, too."""
        self.accessed = True
        if "_session_cache" not in self.__dict__:
            stored, data = yield from self._find()
            whose = self._whose(data)
            with self._first:
                if "_session_cache" not in self.__dict__:
                    self._begin_with(stored, whose)
                    self._session_cache = data
        found: dict[str, Any] = self._session_cache
        return found

    def _find(self) -> Steps[tuple[Stored | None, dict[str, Any]]]:
        stored = yield from self._operations.load(self._stored_key, ENGINE)
        data = None if stored is None else self._loads(stored)
        return (None, {}) if data is None else (stored, data)

    def _begin_with(self, stored: Stored | None, whose: Whose) -> None:
        if stored is None:
            self._stored_key = None
            self._forget()
        else:
            self._remember(stored, whose)

    def _exists(self, session_key: str | None) -> Steps[bool]:
        stored = yield from self._operations.load(session_key, ENGINE)
        return stored is not None

    def _create(self) -> Steps[None]:
        self.accessed = True
        data = self.__dict__.setdefault("_session_cache", {})
        owner, _ = whose = self._whose(data)
        body, ttl = self._body(data), self._ttl(data)
        stored = None
        while stored is None:
            allocated, self._allocated = self._allocated, None
            issued = allocated[1] if allocated and allocated[0] == owner else self._issue(owner)
            meta = Meta(owner, self._client())
            stored = yield from self._operations.create(issued, meta, body, ttl)
        self._remember(stored, whose)
        self._has_new_key = True
        self._replaces = False
        self.modified = True
        yield from signals.created(owner, stored.place)

    def _save(self, must_create: bool) -> Steps[None]:
        if must_create and self._stored is not None:
            raise CreateError
        if must_create or self._stored_key is None:
            yield from self._create()
            return
        yield from self._data()
        if not (yield from self._write()):
            raise UpdateError

    def _cycle_key(self) -> Steps[None]:
        yield from self._data()
        if self._stored_key is None:
            yield from self._create()
        elif not (yield from self._write(cycle=True)):
            if self._owner_stored is not None or self._user_stored is not None:
                raise SessionInterrupted("The session was ended before it got its new key.")
            yield from self._create()
        self.modified = True

    def _touch(self) -> Steps[bool]:
        stored, data = self._stored, self.__dict__.get("_session_cache")
        if stored is None or data is None:
            return False
        now = yield ("now",)
        is_sliding, expires = self._settings.sliding, stored.record.expires
        left = expires - now if expires else None
        ttl = self._ttl(data) if is_sliding else left
        # Whoever uses a session that lives no longer than that interval is not to lose it.
        is_short = left is not None and ttl is not None and 2 * left < ttl
        if not is_short and not (yield from self._is_due(stored)):
            return False
        meta = self._new_meta(stored)
        done, now_stored = yield from self._operations.touch(stored, ttl, meta)
        if done:
            self._stored = now_stored
        return done and is_sliding

    def _stay_as_stored(self) -> None:
        """What was to be somebody's, and was refused, is what it was before: anonymous."""
        stored = self._stored
        self._session_cache = {} if stored is None else self._loads(stored) or {}
        self._replaces = False
        self.modified = stored is not None  # login() gave it another id: the cookie is to follow

    def _delete(self, session_key: str | None) -> Steps[None]:
        key = self._stored_key if session_key is None else session_key
        place = place_of(key, ENGINE)
        if place is None:
            return
        is_own = self._stored is not None and place == self._stored.place  # hashes, not ids
        owner = self._owner_stored
        if session_ended.receivers and not is_own:
            owner = yield from self._operations.key_of(place)
        if (yield from self._operations.delete(key, ENGINE)):
            yield from signals.ended(owner, place, signals.LOGOUT)
