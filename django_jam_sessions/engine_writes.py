"""One write of a session: against what others write meanwhile, and for those who wait for it.

As in engine.py ``session_key`` is the session id here, and the session key the *owner*.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.sessions.serializers import JSONSerializer

from . import patience, queues, signals
from .codec import ENGINE
from .devices import ClientInfo, client_info
from .engine_ids import EngineIds, Whose
from .exceptions import SessionDataTooLarge, SessionStoreUnavailable
from .infos import Meta, Stored
from .merge import merge
from .steps import QUEUE, Steps

_encode = json.JSONEncoder(separators=(",", ":")).encode  # which JSONSerializer makes at each call
CONFLICTS_END = 5.0  # seconds that a save may spend on merging


class EngineWrites(EngineIds):
    """A store that has looked at its session."""

    _session_cache: dict[str, Any]  # SessionBase's
    _replaces = False  # clear() was called: what others wrote meanwhile is not merged
    describe: Callable[[], ClientInfo | None] | None = None  # the middleware's: who the client is

    def _write(self, cycle: bool = False) -> Steps[bool]:
        """Store the data, merged with what others stored meanwhile; False where it was ended."""
        stored = self._stored or (yield from self._adopt())
        if stored is None:
            return False
        name, deadline, known = stored.place[:2], None, None
        if queues.is_there(name):
            deadline, known = yield from self._wait(name)
        while True:
            if known is not None:
                merged = self._merged(stored, self._session_cache, known)
                if merged is None:
                    return False
                stored, self._session_cache = known, merged
            data = self._session_cache
            whose = self._whose(data)  # of what is sent: the request goes on meanwhile
            done, known = yield from self._attempt(stored, data, cycle)
            if known is None:
                return False
            if done:
                yield from self._written(stored, known, whose)
                return True
            if deadline is None:
                deadline, newer = yield from self._wait(name)
                known = newer or known
            if time.monotonic() > deadline:
                raise SessionStoreUnavailable("Others kept writing to this session.")

    def _wait(self, name: tuple[str, bytes]) -> Steps[tuple[float, Stored | None]]:
        """Let those of this process that write to the session not get in each other's way.

        Returns until when to try, and what is stored now, if the last of them has left a note: not
        one of an attempt that began before, which may be older than what this store has seen.
        Raises what has failed for them meanwhile, not to lose the same time once more.
        """
        joined = time.monotonic()
        yield QUEUE, name, CONFLICTS_END
        began, known = queues.note_of(name) or (0.0, None)
        if began <= joined:
            known = None
        elif isinstance(known, SessionStoreUnavailable):
            raise SessionStoreUnavailable(str(known)) from known
        return joined + CONFLICTS_END, known

    def _attempt(
        self, stored: Stored, data: dict[str, Any], cycle: bool
    ) -> Steps[tuple[bool, Stored | None]]:
        """Whether it was written, and what is stored now."""
        body, ttl, owner = self._body(data, stored), self._ttl(data), self._owner(data)
        moves = self._moves(data)
        if cycle or moves:
            issued = self._next_id(stored, data)
            client = None if moves else self._operations.meta(stored).client
            client = client or self._client()
            return (
                yield from self._operations.move(
                    stored,
                    issued,
                    Meta(owner, client),
                    body,
                    ttl,
                    is_new=moves and self._operations.meta(stored).session_key != owner,
                    is_sign_in=moves and self._is_sign_in(data),
                )
            )
        meta = None
        if self.describe is not None and (yield from self._is_due(stored)):
            meta = self._new_meta(stored)
        return (yield from self._write_in_place(stored, body, ttl, meta))

    def _write_in_place(
        self, stored: Stored, body: bytes, ttl: int, meta: Meta | None
    ) -> Steps[tuple[bool, Stored | None]]:
        """See _attempt(); those who wait get a note of it."""
        name, began, has_time = stored.place[:2], time.monotonic(), patience.is_whole()
        try:
            if body == stored.body and not self._replaces:
                done, known = yield from self._operations.touch(stored, ttl, meta)
            else:
                done, known = yield from self._operations.replace(stored, body, ttl, meta)
        except SessionStoreUnavailable as error:
            if has_time:
                queues.leave_note(name, (time.monotonic(), error))
            raise
        if known is not None:
            queues.leave_note(name, (began, known))
        return done, known

    def _written(self, old: Stored, new: Stored, whose: Whose) -> Steps[None]:
        """Go on with what is stored, and tell what a move was: a new id, or somebody's session."""
        before, owner = self._owner_stored, whose[0]
        self._remember(new, whose)
        self._replaces = False
        if new.place is old.place:
            return
        self.has_moved |= not self._has_new_key
        self._has_new_key = True
        if owner == before:
            yield from signals.reworked(owner, new.place, old.place)
            return
        if before is not None:
            yield from signals.ended(before, old.place, signals.LOGOUT)
        yield from signals.created(owner, new.place)

    def _merged(
        self, stored: Stored, mine: dict[str, Any], now_stored: Stored
    ) -> dict[str, Any] | None:
        """``mine`` for the session that others have stored meanwhile; None where that is torn."""
        theirs = self._loads(now_stored)
        if theirs is None:
            return None
        self._based_on(now_stored, self._whose(theirs))
        if self._replaces:
            return mine
        return merge(self._loads(stored) or {}, mine, theirs, self._dumps)

    def _adopt(self) -> Steps[Stored | None]:
        """Learn what is stored where the data was set without a look at it: it is replaced."""
        stored = yield from self._operations.load(self._stored_key, ENGINE)
        if stored is not None:
            self._based_on(stored, self._whose(self._loads(stored) or {}))
            self._replaces = True
        return stored

    def _client(self) -> ClientInfo | None:
        return None if self.describe is None else self.describe()

    def _is_due(self, stored: Stored) -> Steps[bool]:
        """Whether the store has not heard of the session for TOUCH_INTERVAL, or a little less: not
        all requests of a page at once are to come to that."""
        now = yield ("now",)
        interval = self._settings.touch_interval * random.uniform(0.8, 1)  # noqa: S311 - no secret
        return bool(now - stored.record.last_seen > interval)

    def _new_meta(self, stored: Stored) -> Meta | None:
        """None where what is stored of the client is still true."""
        meta = self._operations.meta(stored)
        client = self._client()
        known = client is None or client_info(meta.client) == client
        return None if known else Meta(meta.session_key, client)

    def _body(self, data: dict[str, Any], stored: Stored | None = None) -> bytes:
        """Raises SessionDataTooLarge; what is stored already may stay as it is."""
        body, limit = self._dumps(data), self._settings.max_data_bytes
        if len(body) > limit and (stored is None or body != stored.body):
            raise SessionDataTooLarge(len(body), limit)
        return body

    def _dumps(self, data: Any) -> bytes:
        if self.serializer is JSONSerializer:
            return _encode(data).encode("latin-1")
        body: bytes = self.serializer().dumps(data)
        return body

    def _ttl(self, data: dict[str, Any]) -> int:
        """Milliseconds; 0 or less is legal, and over at once."""
        expiry = data.get("_session_expiry")
        # Only a date is compared with the clock: else Django need not look at it.
        known = {} if isinstance(expiry, str | datetime) else {"modification": None}
        age: float = self.get_expiry_age(expiry=expiry, **known)
        limit = self._settings.session_ttl
        return round((age if limit is None else min(age, limit)) * 1000)
