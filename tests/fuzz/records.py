"""What a store says is a record: made up, or a genuine one, plain, sealed, or sealed by a secret
that is gone, of which a part is cut out or replaced."""

from __future__ import annotations

from typing import Any

from django_jam_sessions import SessionModule, codec
from django_jam_sessions.codec import ENGINE, MODULE, Place, Record
from django_jam_sessions.configured import configured
from django_jam_sessions.exceptions import SessionStoreUnavailable
from django_jam_sessions.infos import Meta, meta_text
from django_jam_sessions.sealing import Cipher, Plain, Sealed

from . import hostile, spliced
from .hostile import KEY, Planted

OURS, GONE = b"a" * 32, b"b" * 32
SETTINGS = {"JAM_SESSIONS": {"SESSIONS_TYPE": "custom", "CUSTOM_MODULE": Planted}}

CLIENT = ["192.0.2.7", "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"]


def module(**options: Any) -> SessionModule:
    return SessionModule("custom", custom_module=Planted, session_ttl=None, **options)


MODULES = [module(), module(is_session_crypt=True, session_aes_secret=OURS)]
IDS = [codec.issue(each.operations.cipher.locator(KEY), MODULE).id for each in MODULES]


def genuine(cipher: Cipher, session_id: str, issuer: bytes) -> bytes:
    place = codec.place_of(session_id, issuer) or Place("", b"")
    times, meta = (0, 0, 5, 5), meta_text(Meta(KEY, CLIENT))
    record = Record(issuer, cipher.secret_id, b"version8", *times, meta, b'{"n":[1,"x"]}')
    return codec.pack(cipher.seal(place, record))


GENUINE = [
    genuine(Plain(), IDS[0], MODULE),
    genuine(Sealed([OURS]), IDS[1], MODULE),
    genuine(Sealed([GONE]), IDS[1], MODULE),
    genuine(Plain(), IDS[0], ENGINE),
]


def one_input(data: bytes) -> None:
    value = spliced(data, GENUINE)
    check_unpacked(value)
    for each, session_id in zip(MODULES, IDS, strict=True):
        backend: Any = each.backend
        backend.value = value
        hostile.use(each, session_id)
    planted: Any = configured.current().backend
    planted.value = value
    hostile.use_engine(IDS[0])


def check_unpacked(value: bytes) -> None:
    try:
        record = codec.unpack(value)
    except SessionStoreUnavailable:
        assert value[:1] != codec.FORMAT
        return
    if record is not None:
        assert codec.pack(record) == value
