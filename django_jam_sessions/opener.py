"""Records opened and sealed: what in them can be read, and a line in the log where it can't."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import codec
from .backends.base import Found
from .codec import Change, Place, Record
from .infos import Meta, SessionInfo, Stored, meta_of, meta_text
from .sealing import Cipher, UnreadableError

logger = logging.getLogger("django.security.django_jam_sessions")


class Opener:
    def __init__(self, cipher: Cipher) -> None:
        self.cipher = cipher

    def _change(self, place: Place, body: bytes, secret_id: bytes) -> Change:
        return Change(codec.new_version(), secret_id, self.cipher.seal_body(place, secret_id, body))

    def meta(self, stored: Stored) -> Meta:
        """What is known of a session that opened; nothing where somebody edited that part."""
        try:
            return self._open_meta(stored.place, stored.record)
        except UnreadableError:
            return Meta(None)

    def info(self, stored: Stored) -> SessionInfo:
        """What may be shown of a session that was loaded."""
        place, record, meta = stored.place, stored.record, self.meta(stored)
        key = meta.session_key or ""
        return SessionInfo(key, place, record, meta_text(meta), is_current=True)

    def is_anonymous(self, stored: Stored) -> bool:
        """Whether it lives at a place of its own, made with the secret that seals now."""
        is_current = stored.record.secret_id == self.cipher.secret_id
        return is_current and self.meta(stored).session_key is None

    def _open_meta(self, place: Place, record: Record) -> Meta:
        """Raises UnreadableError."""
        return meta_of(self.cipher.open_meta(place, record))

    def _sealed(
        self, place: Place, meta: Meta, body: bytes, created: int, absolute: int = 0
    ) -> Record:
        issuer, secret_id, version = place.issuer or b"", self.cipher.secret_id, codec.new_version()
        times = 0, absolute, created, created
        record = Record(issuer, secret_id, version, *times, meta_text(meta), body)
        return self.cipher.seal(place, record)

    def opened(self, session_id: str, place: Place, record: Record) -> Stored | None:
        """``record`` with its body opened; None, and a line in the log, where it does not open."""
        try:
            return Stored(session_id, place, record, self.cipher.open_body(place, record))
        except UnreadableError as error:
            log_unusable(place, error)
            return None

    def read(self, stored: Stored, loads: Callable[[bytes], Any]) -> dict[str, Any] | None:
        """The data of a session; None, and a line in the log, where there is none in its body."""
        try:
            data = loads(stored.body)
        except Exception:  # noqa: BLE001 - a serializer raises what it likes; Django too lets it
            data = None
        if isinstance(data, dict):
            return data
        log_unusable(stored.place, UnreadableError("Its data is torn, or another serializer's."))
        return None

    def _session_key(self, place: Place, record: Record) -> str | None:
        try:
            return self._open_meta(place, record).session_key
        except UnreadableError as error:
            log_unusable(place, error)
            return None

    def _owner(self, found: Found) -> Meta | None:
        """What the first session that opens says of all at its locator; None where none does."""
        for field, record in found.sessions:
            place = Place(found.locator, field)
            try:
                return self._open_meta(place, record)
            except UnreadableError as error:
                log_unusable(place, error)
        return None

    def _infos(
        self,
        session_key: str,
        locator: str,
        page: Sequence[tuple[bytes, Record]],
        mine: bytes | None,
    ) -> Iterator[SessionInfo]:
        beginnings = tuple(meta_text(Meta(session_key))[:-1] + end for end in (b"]", b","))
        for field, record in page:
            place = Place(locator, field)
            try:
                meta = self.cipher.open_meta(place, record)
                if not meta.startswith(beginnings):
                    raise UnreadableError("Its meta part is torn.")
            except UnreadableError as error:
                log_unusable(place, error)
            else:
                yield SessionInfo(session_key, place, record, meta, field == mine)


def log_unusable(place: Place, error: UnreadableError) -> None:
    handle = codec.handle_of(place.locator, place.field)
    logger.warning("Session %s is unusable. %s", handle, error)
