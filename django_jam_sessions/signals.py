"""What happens to sessions. Receivers are sent ``session_key`` and ``handle``, never an id.

Sent after the fact, for blocking and awaited calls alike; a receiver that raises is logged and
harms nobody. ``sender`` is None.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.dispatch import Signal

from . import audit
from .codec import Place, handle_of
from .steps import TELL

LOGOUT = "logout"  # by whoever holds the id
REVOKED = "revoked"  # by its handle
CLEARED = "cleared"  # with others of its key
LIMIT = "limit"  # to make room for another one of its key
EXPIRED = "expired"  # and purge() removed it

session_created = Signal()
"""``session_key`` (None: anonymous), ``handle``: also when an anonymous session becomes somebody's,
as at a sign-in."""

session_reworked = Signal()
"""``session_key``, ``handle``, ``old_handle``: it has a new id."""

session_ended = Signal()
"""``session_key``, ``handle`` (None: all of the key's, or all but one), ``reason``: one of
``"logout"``, ``"revoked"``, ``"cleared"``, ``"limit"``, ``"expired"``. Expired are those that
purge() removes, as clearsessions does; of what a store drops before that, nobody is told."""


Told = Sequence[tuple[Any, ...]]
"""Steps, to be yielded from: none where nobody listens. The audit log is told right away."""


def created(session_key: str | None, place: Place) -> Told:
    audit.note("created", place)
    return _told(session_created, session_key, place) if session_created.receivers else ()


def reworked(session_key: str | None, place: Place, old: Place) -> Told:
    audit.note("reworked", place, old)
    if not session_reworked.receivers:
        return ()
    return _told(session_reworked, session_key, place, old_handle=_handle(old))


def ended(session_key: str | None, place: Place | str, reason: str) -> Told:
    """``place`` is a locator where all that live there were ended, or all but one."""
    audit.note("ended", place, reason)
    if not session_ended.receivers:
        return ()
    one = None if isinstance(place, str) else place
    return _told(session_ended, session_key, one, reason=reason)


def refused(locator: str, reason: str) -> None:
    """The audit log alone is told: nothing happened."""
    audit.note("refused", locator, reason, logging.WARNING)


def _told(signal: Signal, session_key: str | None, place: Place | None, **details: Any) -> Told:
    details.update(session_key=session_key, handle=place and _handle(place))
    return [(TELL, signal, details)]


def _handle(place: Place) -> str:
    return handle_of(place.locator, place.field)
