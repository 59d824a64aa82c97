"""What can be done with sessions, as steps over a backend: no I/O, no Django.

SessionModule and the engine both stand on this. Bodies are bytes here; ``issuer`` says which of
the two made a session, and neither sees the other's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import codec, signals
from .backends.base import Limit, Outcome, refused, stamped
from .codec import Issued, Place, Record
from .exceptions import SessionLimitReached
from .infos import Meta, Stored, check_key, meta_text
from .listings import Listings
from .opener import log_unusable
from .policy import Policy
from .sealing import Cipher, UnreadableError
from .signals import CLEARED, LIMIT
from .steps import Step, Steps

Written = tuple[bool, Stored | None]
"""Whether it was written, and what is stored now: another's write, or None where it was ended."""


class Operations(Listings):
    def __init__(self, cipher: Cipher, policy: Policy = Policy()) -> None:  # noqa: B008 - immutable
        super().__init__(cipher)
        self.policy = policy

    # One session

    def issue(
        self, session_key: str | None, issuer: bytes, factory: Callable[[], str] | None
    ) -> Issued:
        """An id that nobody has, at the key's place; an anonymous one at a place of its own."""
        if session_key is None:
            locator = codec.random_locator()
        else:
            locator = self.cipher.locator(check_key(session_key))
        return codec.issue(locator, issuer, factory)

    def load(self, session_id: str | None, issuer: bytes) -> Steps[Stored | None]:
        """The live session, None where there is none that opens."""
        place = codec.place_of(session_id, issuer)
        if place is None:
            return None
        record = yield "fetch", place
        return None if record is None else self.opened(str(session_id), place, record)

    def create(
        self, issued: Issued, meta: Meta, body: bytes, ttl: int | None
    ) -> Steps[Stored | None]:
        """The new session; None where the id is taken. Raises SessionLimitReached."""
        session_id, place = issued
        now = yield ("now",)
        absolute = self.policy.absolute(meta.session_key, now)
        record = stamped(self._sealed(place, meta, body, now, absolute), ttl, now)
        step = "insert", place, record, ttl
        done = yield from self._within_limit(meta.session_key, place, step)
        return Stored(session_id, place, record, body) if done else None

    def replace(
        self, stored: Stored, body: bytes, ttl: int | None, meta: Meta | None = None
    ) -> Steps[Written]:
        """Give a session a new body; ``meta`` None keeps the stored one."""
        place, record = stored.place, stored.record
        change = self._change(place, body, record.secret_id)
        written = record.written(change.version)
        if meta is not None:
            sealed = self.cipher.seal_meta(place, record, meta_text(meta))
            change, written = change._replace(meta=sealed), written._replace(meta=sealed)
        outcome = yield "replace", place, change, record.version, ttl
        if outcome is True:
            written = stamped(written, ttl, (yield ("now",)))
            return True, Stored(stored.id, place, written, body)
        return self._refused(stored, outcome)

    def touch(self, stored: Stored, ttl: int | None, meta: Meta | None = None) -> Steps[Written]:
        """Note that a session is in use, and until when it lives, without writing its data."""
        place, record = stored.place, stored.record
        sealed = meta and self.cipher.seal_meta(place, record, meta_text(meta))
        outcome = yield "touch", place, record.version, ttl, sealed
        if outcome is True:
            touched = record if sealed is None else record._replace(meta=sealed)
            touched = stamped(touched, ttl, (yield ("now",)))
            return True, stored._replace(record=touched)
        return self._refused(stored, outcome)

    def overwrite(
        self, session_id: str, issuer: bytes, body: bytes, ttl: int | None
    ) -> Steps[bytes | None]:
        """Give a session a new body whatever it holds; the new version, None where it is gone."""
        place = codec.place_of(session_id, issuer)
        if place is None:
            return None
        secret_id = self.cipher.secret_id
        while True:
            try:
                change = self._change(place, body, secret_id)
            except UnreadableError as error:
                log_unusable(place, error)
                return None
            outcome = yield "replace", place, change, None, ttl
            if not isinstance(outcome, Record):
                return change.version if outcome else None
            secret_id = outcome.secret_id  # an older one of ours sealed it

    def move(
        self,
        stored: Stored,
        issued: Issued,
        meta: Meta,
        body: bytes,
        ttl: int | None,
        *,
        is_new: bool = False,
        is_sign_in: bool = False,
    ) -> Steps[Written]:
        """Give a session a new id, and a new body.

        ``is_new``: it was not its key's before, so it is the key's youngest from now on, and
        counts: raises SessionLimitReached. Its absolute end stays, but for a sign-in.
        """
        new_id, target = issued
        created, absolute = stored.record.created, stored.record.absolute
        is_more = is_new and stored.place.locator != target.locator
        now: int = yield ("now",)
        if is_sign_in or (not absolute and is_new):
            absolute = self.policy.absolute(meta.session_key, now)
        if is_new:
            created = now
            has_limit = is_more and self.policy.max_sessions is not None
            if has_limit and len(self.cipher.locators(str(meta.session_key))) > 1:
                # As the backend does: who gives way elsewhere does so before it looks.
                there = yield "fetch", stored.place
                refusal = refused(there, None, stored.record.version)
                if refusal is not None:
                    return self._refused(stored, refusal)
        record = stamped(self._sealed(target, meta, body, created, absolute), ttl, now)
        step = "move", stored.place, target, record, stored.record.version, ttl
        if is_more:
            outcome = yield from self._within_limit(meta.session_key, target, step)
        else:
            outcome = yield step
        if outcome is True:
            return True, Stored(new_id, target, record, body)
        return self._refused(stored, outcome)

    def _within_limit(self, session_key: str | None, place: Place, step: Step) -> Steps[Any]:
        """What the backend answers to a step that gives a key one more session, True where others
        have given way; raises SessionLimitReached."""
        while True:
            limit = yield from self._limit(session_key)
            done = yield (*step, *limit)
            if isinstance(done, list):
                for field in done:
                    yield from signals.ended(session_key, Place(place.locator, field), LIMIT)
                return True
            if done is not None:
                return done
            if limit[0].ends_oldest is self.policy.ends_oldest:
                signals.refused(place.locator, LIMIT)
                raise SessionLimitReached

    def _limit(self, session_key: str | None) -> Steps[tuple[Limit, ...]]:
        """The last argument of insert() and move(), none without a limit.

        Nobody adds to what older secrets seal: what is held there is taken from the limit, and the
        oldest of it gives way first. While some of it is left none of the others may: where they
        have become more meanwhile, the answer is None, and one has to look again.
        """
        limit = self.policy.limit(session_key)
        if limit is None or session_key is None:
            return ()
        here, *older = self.cipher.locators(session_key)
        elders: list[tuple[int, Place]] = []
        for locator in older:
            cursor = None
            while True:
                page, cursor = yield "list", locator, limit.sessions, cursor
                elders += [(record.created, Place(locator, field)) for field, record in page]
                if cursor is None:
                    break
        if elders and limit.ends_oldest:
            elders.sort(reverse=True)
            held = yield "count", here
            while elders and held + len(elders) >= limit.sessions:
                _, place = elders.pop()
                if (yield "remove", place):
                    yield from signals.ended(session_key, place, LIMIT)
        return (Limit(limit.sessions - len(elders), limit.ends_oldest and not elders),)

    def _refused(self, stored: Stored, outcome: Outcome) -> Written:
        if isinstance(outcome, Record):
            return False, self.opened(stored.id, stored.place, outcome)
        return False, None

    def rework(
        self, session_id: str, issuer: bytes, factory: Callable[[], str] | None
    ) -> Steps[str | None]:
        """The session's new id; None where there is no such session."""
        place = codec.place_of(session_id, issuer)
        if place is None:
            return None
        if self.cipher.secret_id == codec.PLAIN:
            issued = codec.issue(place.locator, issuer, factory)
            outcome = yield "move", place, issued.place, codec.new_version(), None, None
            return issued.id if outcome is True else None
        while True:
            stored = yield from self.load(session_id, issuer)
            if stored is None:
                return None
            meta = self.meta(stored)
            issued = self.issue(meta.session_key, issuer, factory)
            ttl = yield from self._time_left(stored.record)
            done, stored = yield from self.move(stored, issued, meta, stored.body, ttl)
            if done or stored is None:
                return issued.id if done else None

    def key_of(self, place: Place) -> Steps[str | None]:
        """Whose session lives there; None where nobody's does, or an anonymous one."""
        record = yield "fetch", place
        return None if record is None else self._session_key(place, record)

    def delete(self, session_id: str | None, issuer: bytes) -> Steps[bool]:
        """False where there is no such session."""
        place = codec.place_of(session_id, issuer)
        return place is not None and bool((yield "remove", place))

    # The sessions of one key

    def clear(self, session_key: str, keep: str | None = None) -> Steps[bool]:
        """End them all, but the one of the handle ``keep``; False where none was held."""
        kept = codec.place_of_handle(keep)
        held = False
        # The oldest secret first: who signs in meanwhile is at the newest one's place.
        for locator in reversed(self.cipher.locators(check_key(session_key))):
            field = kept.field if kept is not None and kept.locator == locator else None
            held |= yield "remove_all", locator, field
        if held:
            yield from signals.ended(session_key, locator, CLEARED)
        return held

    def clear_others(self, session_id: str) -> Steps[bool]:
        """End all of the session's key but itself; False where there is no such session."""
        place = codec.place_of(session_id)
        if place is None:
            return False
        record = yield "fetch", place
        if record is None:
            return False
        try:
            session_key = self._open_meta(place, record).session_key
        except UnreadableError as error:  # no success is told where nothing can be ended
            log_unusable(place, error)
            return False
        if session_key is None:
            return True
        for locator in reversed(self.cipher.locators(session_key)):
            field = place.field if locator == place.locator else None
            held = yield "remove_all", locator, field
            if field is not None and not held:
                return False
        return True

    def end(self, session_key: str, handle: str) -> Steps[bool]:
        """End one of the key's sessions; False where it has none of that handle."""
        place = codec.place_of_handle(handle)
        if place is None or place.locator not in self.cipher.locators(check_key(session_key)):
            return False
        return bool((yield "remove", place))

    def _time_left(self, record: Record) -> Steps[int | None]:
        if record.expires == 0:
            return None
        now: int = yield ("now",)
        return record.expires - now
