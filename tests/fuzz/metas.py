"""The meta part of a record: whose session it is, and the client description."""

from __future__ import annotations

from django_jam_sessions.codec import Place, Record
from django_jam_sessions.infos import SessionInfo, check_key, meta_of, meta_text
from django_jam_sessions.sealing import UnreadableError

from .hostile import show

PLACE = Place("0" * 15, b"f" * 16)


def one_input(data: bytes) -> None:
    record = Record(b"m", b"\0\0\0\0", b"version8", 0, 0, 5, 5, data, b"")
    show(SessionInfo("17", PLACE, record, data, is_current=False))
    try:
        meta = meta_of(data)
    except UnreadableError:
        return
    if meta.session_key is not None:
        check_key(meta.session_key)
    again = meta_text(meta)
    assert meta_text(meta_of(again)) == again
