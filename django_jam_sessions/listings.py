"""What can be learnt of many sessions, as steps over a backend: pages of a key's, and of keys.

And purge(), which visits as many.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from . import codec, signals
from .infos import KeyInfo, SessionInfo, Stored, check_key, to_datetime
from .opener import Opener
from .signals import EXPIRED, session_ended
from .steps import Steps

_CURSOR = re.compile(r"[0-9A-Za-z.-]{1,64}")
SCANNED = 1000  # locators on a page, where all are visited
NO_CURSOR = "The cursor is not one that was returned."


class Listings(Opener):
    def list(
        self, session_key: str, current: str | None, limit: int, cursor: str | None
    ) -> Steps[tuple[Sequence[SessionInfo], str | None]]:
        """A page of the key's sessions, and where the next one begins."""
        # The oldest secret first: who is reworked meanwhile goes to the newest one's place.
        locators = self.cipher.locators(check_key(session_key))[::-1]
        index, position = _page_of(cursor, len(locators))
        here = codec.place_of(current)
        found: list[SessionInfo] = []
        while True:
            locator = locators[index]
            page, position = yield "list", locator, limit - len(found), position
            mine = here.field if here is not None and here.locator == locator else None
            found += self._infos(session_key, locator, page, mine)
            if position is None:
                index += 1
            if index == len(locators) or len(found) >= limit:
                more = index < len(locators)
                return found, "%d.%s" % (index, position or "") if more else None

    def count(self, session_key: str) -> Steps[int]:
        total = 0
        for locator in reversed(self.cipher.locators(check_key(session_key))):
            total += yield "count", locator
        return total

    def find(
        self, handle: str, current: str | None = None
    ) -> Steps[tuple[SessionInfo, Stored | None] | None]:
        """A key's session by its handle alone, whoever made it; None for an anonymous one too.

        Its Stored is None where the body does not open.
        """
        place = codec.place_of_handle(handle)
        record = None if place is None else (yield "fetch", place)
        if place is None or record is None:
            return None
        session_key = self._session_key(place, record)
        if session_key is None:
            return None
        meta = self.cipher.open_meta(place, record)
        is_current = place == codec.place_of(current)
        info = SessionInfo(session_key, place, record, meta, is_current)
        return info, self.opened("", place, record)

    def keys(self, limit: int, cursor: str | None) -> Steps[tuple[Sequence[KeyInfo], str | None]]:
        """A page of session keys, bounded by work. One under several secrets may come on two."""
        found, _, following = yield from self.survey(limit, cursor)
        return found, following

    def survey(
        self, limit: int, cursor: str | None
    ) -> Steps[tuple[Sequence[KeyInfo], int, str | None]]:
        """keys(), with the number of anonymous sessions that were met on the way."""
        found, following = yield "scan", limit, None if cursor is None else check_cursor(cursor)
        is_all = cursor is None and following is None
        met = {each.locator for each in found}
        keys: dict[str, KeyInfo] = {}
        anonymous = 0
        for each in found:
            owner = self._owner(each)
            if owner is None:
                continue
            if owner.session_key is None:
                anonymous += each.count
                continue
            key = owner.session_key
            seen = to_datetime(max(record.last_seen for _, record in each.sessions))
            is_exact = is_all or met.issuperset(self.cipher.locators(key))
            keys[key] = KeyInfo(key, each.count, seen, is_exact).plus(keys.get(key))
        return list(keys.values()), anonymous, following

    def secrets(self) -> Steps[Counter[bytes]]:
        """How many sessions each secret seals, by its public id; counted while others go on."""
        counts, cursor = Counter(dict.fromkeys(self.cipher.secret_ids, 0)), None
        while True:
            found, cursor = yield "scan", SCANNED, cursor
            for each in found:  # what lives at one locator is sealed with one secret
                counts[each.sessions[0][1].secret_id] += each.count
            if cursor is None:
                return counts

    def purge(self) -> Steps[int]:
        """Remove what has expired, and tell of it; the number of sessions removed."""
        removed, cursor = 0, None
        while True:
            page, cursor = yield "purge", cursor
            for place, record in page:
                key = self._session_key(place, record) if session_ended.receivers else None
                yield from signals.ended(key, place, EXPIRED)
            removed += len(page)
            if cursor is None:
                return removed


def _page_of(cursor: str | None, locators: int) -> tuple[int, str | None]:
    """Which locator a page of list() begins in, and where in it."""
    if cursor is None:
        return 0, None
    index, _, position = check_cursor(cursor).partition(".")
    if not (index.isdecimal() and int(index) < locators):
        raise ValueError(NO_CURSOR)
    return int(index), position or None


def check_cursor(cursor: str) -> str:
    """``cursor`` if it could be one that list() or keys() returned; raises ValueError."""
    if not isinstance(cursor, str) or not _CURSOR.fullmatch(cursor):
        raise ValueError(NO_CURSOR)
    return cursor
