"""The audit log: what happened to sessions, and from which session. Handles only, never an id.

Logger ``django_jam_sessions.audit``, level INFO, WARNING for what was refused. Each record has
``event``, ``handle``, ``reason`` and ``by`` as attributes, for those who log as JSON.
"""

from __future__ import annotations

import logging

from .codec import Place, handle_of
from .current import current_handle

logger = logging.getLogger("django_jam_sessions.audit")


def note(
    event: str, place: Place | str, reason: str | Place = "", level: int = logging.INFO
) -> None:
    """``place`` is a session's, or the locator of all of a key's. A ``reason`` that is a place is
    where the session was before."""
    if logger.isEnabledFor(level):
        handle = _name(place)
        reason = reason if isinstance(reason, str) else "from %s" % _name(reason)
        by = current_handle() or ""
        details = {"event": event, "handle": handle, "reason": reason, "by": by}
        logger.log(
            level, "%s %s reason=%s by=%s", event, handle, reason or "-", by or "-", extra=details
        )


def _name(place: Place | str) -> str:
    return place if isinstance(place, str) else handle_of(place.locator, place.field)
