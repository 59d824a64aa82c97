"""Ids, locators, handles and the layout of a record: functions of their arguments, no I/O.

A session id is ``masked locator (15) + factory value + secret (25)``. The locator says where the
record lives, so no look-up table is needed; the mask, a hash of the rest of the id, makes two ids
of one session key look unrelated. Only a hash of what follows the locator is stored.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from .exceptions import SessionStoreUnavailable

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"  # What Django calls VALID_KEY_CHARS.
LOCATOR_LENGTH = 15  # 77 bits
SECRET_LENGTH = 25  # 129 bits
FIELD_LENGTH = 25  # 16 bytes in base36
MAX_FACTORY_LENGTH = 128
LOCATORS: int = 36**LOCATOR_LENGTH

ENGINE = b"e"
MODULE = b"m"
PLAIN = b"\0\0\0\0"  # the secret id of a record that no secret seals
FORMAT = b"\x01"

# RFC 6265 allows more in a cookie, RFC 9110 in a header; this is what both allow unquoted.
_FACTORY_VALUE = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,%d}" % MAX_FACTORY_LENGTH)
_SESSION_ID = re.compile(
    r"[0-9a-z]{%d}(?:%s)?[0-9a-z]{%d}" % (LOCATOR_LENGTH, _FACTORY_VALUE.pattern, SECRET_LENGTH)
)
_HANDLE = re.compile(r"([0-9a-z]{%d})\.([0-9a-z]{%d})" % (LOCATOR_LENGTH, FIELD_LENGTH))
_LOCATOR = re.compile(r"[0-9a-z]{%d}" % LOCATOR_LENGTH)

# Each random byte is a character, but for the last four: 256 is no multiple of 36.
_CHARACTERS = (ALPHABET * 8).encode()[:256]
_UNEVEN = bytes(range(252, 256))
_TRIPLES = [a + b + c for a in ALPHABET for b in ALPHABET for c in ALPHABET]


class UnknownFormatError(SessionStoreUnavailable):
    """A later release wrote this record: the session is alive, this release can't read it."""

    def __init__(self) -> None:
        super().__init__("A session is stored in a format that this release does not know.")


class Place(NamedTuple):
    """Where one record lives. For any ``issuer`` but None, another issuer's record isn't there."""

    locator: str
    field: bytes
    issuer: bytes | None = None


class Issued(NamedTuple):
    """A session id that nobody holds yet, and its place."""

    id: str
    place: Place

    def __repr__(self) -> str:
        return "<Issued>"  # the id is a secret


class Record(NamedTuple):
    """One stored session. Times are milliseconds of the Unix epoch, by the store's clock."""

    issuer: bytes
    secret_id: bytes
    version: bytes  # of the write that made it: see new_version()
    expires: int  # 0: never
    absolute: int  # 0: no absolute expiry
    created: int
    last_seen: int
    meta: bytes
    body: bytes

    def __repr__(self) -> str:
        return "<Record %s>" % self.version.hex()  # what it holds is nobody's business

    def written(self, version: bytes) -> Record:
        """This record after a write of that version."""
        return Record._make((*self[:2], version, *self[3:]))


class Change(NamedTuple):
    """A new body for a stored record; ``meta`` None keeps the stored one."""

    version: bytes
    secret_id: bytes
    body: bytes
    meta: bytes | None = None

    def __repr__(self) -> str:
        return "<Change %s>" % self.version.hex()


def base36(number: int, length: int) -> str:
    """``number`` in ``length`` digits, a multiple of three bar a first digit that must fit."""
    digits = []
    for _ in range(-(-length // 3)):
        number, triple = divmod(number, 46656)
        digits.append(_TRIPLES[triple])
    digits.reverse()
    return "".join(digits)[-length:]


def _locator_text(number: int) -> str:
    """base36() of a locator, unrolled: every operation needs one."""
    number, e = divmod(number, 46656)
    number, d = divmod(number, 46656)
    number, c = divmod(number, 46656)
    a, b = divmod(number, 46656)
    return _TRIPLES[a] + _TRIPLES[b] + _TRIPLES[c] + _TRIPLES[d] + _TRIPLES[e]


def new_version() -> bytes:
    """A version is the random id of one write: who repeats a write after a lost reply finds it
    made, and who finds another version knows that somebody else wrote."""
    return os.urandom(8)


def new_secret() -> str:
    while True:  # as good as never twice
        characters = os.urandom(32).translate(_CHARACTERS, _UNEVEN)
        if len(characters) >= SECRET_LENGTH:
            return characters[:SECRET_LENGTH].decode()


def random_locator() -> str:
    return locator_of(os.urandom(16))


def locator_of(digest: bytes) -> str:
    """The locator that a digest, or as many random bytes, stand for."""
    return _locator_text(int.from_bytes(digest, "big") % LOCATORS)


def plain_locator(session_key: str) -> str:
    return locator_of(hashlib.sha256(b"jam-sessions locator\0" + session_key.encode()).digest())


def _hash(rest: str) -> tuple[bytes, int]:
    """The stored field, and the mask. Whoever reads the field learns nothing of the mask."""
    digest = hashlib.sha256(rest.encode()).digest()
    return digest[:16], int.from_bytes(digest[16:], "big")


def issue(locator: str, issuer: bytes, factory: Callable[[], str] | None = None) -> Issued:
    """A fresh session id for ``locator``; raises ValueError for a value that no id can carry."""
    rest = new_secret()
    if factory is not None:
        value = factory()
        if not isinstance(value, str) or not _FACTORY_VALUE.fullmatch(value):
            raise ValueError(
                "id_factory must return a str of 1 to %d characters out of letters, digits and "
                "'._~+/=:@-'." % MAX_FACTORY_LENGTH
            )
        rest = value + rest
    field, mask = _hash(rest)
    masked = _locator_text((int(locator, 36) + mask) % LOCATORS)
    return Issued(masked + rest, Place(locator, field, issuer))


def place_of(session_id: object, issuer: bytes | None = None) -> Place | None:
    """Where the record of ``session_id`` lives, None for what can't be an id of ours."""
    if not isinstance(session_id, str) or _SESSION_ID.fullmatch(session_id) is None:
        return None
    field, mask = _hash(session_id[LOCATOR_LENGTH:])
    masked = int(session_id[:LOCATOR_LENGTH], 36)
    return Place(_locator_text((masked - mask) % LOCATORS), field, issuer)


def handle_of(locator: str, field: bytes) -> str:
    """The public name of a session: finds the record, and is no id."""
    return "%s.%s" % (locator, base36(int.from_bytes(field, "big"), FIELD_LENGTH))


def place_of_handle(handle: object) -> Place | None:
    match = _HANDLE.fullmatch(handle) if isinstance(handle, str) else None
    if match is None:
        return None
    field = int(match[2], 36)
    return None if field >= 1 << 128 else Place(match[1], field.to_bytes(16, "big"))


def is_locator(text: str) -> bool:
    return _LOCATOR.fullmatch(text) is not None


# A record's header, big-endian: format, issuer, secret id, version, then four times of
# six bytes each (struct has no such number: two and four) and the length of the meta part.
_HEADER = struct.Struct(">xc4s8sHIHIHIHIH")
_record = Record._make  # quicker than Record()
HEADER_LENGTH = _HEADER.size
MAX_META_BYTES = 0xFFFF


def parts(record: Record) -> tuple[bytes, bytes, bytes, bytes]:
    """What pack() joins: up to the version, the times that no store sets, meta, body."""
    issuer, secret_id, version, _, absolute, created, _, meta, body = record
    if len(meta) > MAX_META_BYTES:
        raise ValueError("The session's client description is over 64 KiB.")
    between = absolute.to_bytes(6, "big") + created.to_bytes(6, "big")
    return FORMAT + issuer + secret_id + version, between, len(meta).to_bytes(2, "big") + meta, body


def pack(record: Record) -> bytes:
    before, between, meta, body = parts(record)
    expires, last_seen = record.expires.to_bytes(6, "big"), record.last_seen.to_bytes(6, "big")
    return b"".join((before, expires, between, last_seen, meta, body))


def unpack(value: bytes) -> Record | None:
    """The record in ``value``; None where it is cut off before the body. Raises
    UnknownFormatError."""
    if value and value[:1] != FORMAT:
        raise UnknownFormatError
    if len(value) < HEADER_LENGTH:
        return None
    issuer, secret, version, e1, e0, a1, a0, c1, c0, l1, l0, meta = _HEADER.unpack_from(value)
    body = HEADER_LENGTH + meta
    if len(value) < body:
        return None
    times = e1 << 32 | e0, a1 << 32 | a0, c1 << 32 | c0, l1 << 32 | l0
    return _record((issuer, secret, version, *times, value[HEADER_LENGTH:body], value[body:]))
