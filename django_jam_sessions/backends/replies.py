"""What the scripts' replies mean."""

from __future__ import annotations

import logging
from typing import Any

from .. import codec
from ..codec import Place, Record
from ..exceptions import SessionStoreUnavailable
from .base import Listing
from .wire import Reply

logger = logging.getLogger(__name__)


def checked(reply: Reply, kind: type | tuple[type, ...]) -> Any:
    """A reply of a kind that no script of ours gives is no session's end: it is no Redis."""
    if not isinstance(reply, kind):
        raise SessionStoreUnavailable("Redis did not answer as it should.")
    return reply


def number(reply: Reply) -> int:
    return int(checked(reply, int))


def fetched(place: Place, value: bytes | None) -> Record | None:
    """What FETCH found; None, and a line in the log, where it is torn."""
    if value is None:
        return None
    record = codec.unpack(checked(value, bytes))
    if record is None:
        _log_torn(place)
        return None
    return record if place.issuer in (None, record.issuer) else None


def listed(locator: str, reply: Reply) -> Listing:
    """What LIST and PURGE reply."""
    cursor, flat = checked(reply, list)
    found = []
    pairs = iter(flat)
    for field, value in zip(pairs, pairs, strict=True):
        try:
            record = codec.unpack(value)
        except codec.UnknownFormatError:
            continue  # one that this release can't read does not hide the others
        if record is None:
            _log_torn(Place(locator, field))
        else:
            found.append((field, record))
    return found, None if int(cursor) == 0 else str(int(cursor))


def _log_torn(place: Place) -> None:
    handle = codec.handle_of(place.locator, place.field)
    logger.warning("Session %s is torn; it is unusable.", handle)
