"""A record as a JSON document: readable, and editable, where it is not encrypted."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from .. import codec
from ..codec import Place, Record

# What dumps() writes is read without a JSON parser, however large the data is. A document that
# somebody edited need not look like this.
_LAYOUT = b"""{
 "format": %d,
 "issuer": "%b",
 "secret": "%b",
 "version": "%b",
 "expires_ms": %d,
 "absolute_ms": %d,
 "created_ms": %d,
 "last_seen_ms": %d,
 "meta": %b,
 "data": %b
}
"""
_WRITTEN = re.compile(
    _LAYOUT.replace(b"%d", rb"(\d{1,15})")
    .replace(b'"%b"', b'"([a-z0-9]{1,16})"')
    .replace(b'"meta": %b', rb'"meta": ([^\n]+)')
    .replace(b"%b", b"(.+)"),
    re.DOTALL,
)
BASE64 = "base64:"


def dumps(record: Record) -> bytes:
    return _LAYOUT % (
        codec.FORMAT[0],
        record.issuer,
        record.secret_id.hex().encode(),
        record.version.hex().encode(),
        record.expires,
        record.absolute,
        record.created,
        record.last_seen,
        _embedded(record.meta),
        _embedded(record.body),
    )


def dumps_moving(stored: Record, target: Place, moved: Record) -> bytes:
    """A document that is ``stored``, and once it lies at ``target`` is ``moved``.

    So one rename ends the one and begins the other: whoever is killed leaves one of them.
    """
    handle = codec.handle_of(target.locator, target.field)
    document = {"moving": {"to": handle, **_to_value(moved)}, **_to_value(stored)}
    return json.dumps(document, indent=1).encode()


def loads(document: bytes, place: Place | None = None) -> Record:
    """The record of a document that lies at ``place``.

    Raises one of ERRORS where the document is torn, or UnknownFormatError.
    """
    match = _WRITTEN.fullmatch(document)
    if match is None or int(match[1]) != codec.FORMAT[0]:
        return _from_value(_here(json.loads(document.decode(errors="surrogatepass")), place))
    _, issuer, secret, version, expires, absolute, created, seen, meta, body = match.groups()
    return Record(
        issuer,
        bytes.fromhex(secret.decode()),
        bytes.fromhex(version.decode()),
        int(expires),
        int(absolute),
        int(created),
        int(seen),
        _unembedded(meta),
        _unembedded(body),
    )


ERRORS = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)


def _embedded(content: bytes) -> bytes:
    """JSON as it is, for eyes and editors; anything else as base64. Between its brackets it is
    taken at its word: what comes back is this content in either case."""
    if content[:1] + content[-1:] in (b"{}", b"[]") and content.isascii():
        return content
    return b'"%b"' % _text(content).encode()


def _unembedded(content: bytes) -> bytes:
    return _content(content[1:-1].decode()) if content[:1] == b'"' else content


def _here(document: dict[str, Any], place: Place | None) -> dict[str, Any]:
    """The part of a document that counts where it lies."""
    moving: dict[str, Any] | None = document.get("moving")
    if moving and place and moving["to"] == codec.handle_of(place.locator, place.field):
        return moving
    return document


def _to_value(record: Record) -> dict[str, Any]:
    """What _from_value() reads, to the byte: nothing is embedded as JSON."""
    return {
        "format": codec.FORMAT[0],
        "issuer": record.issuer.decode(),
        "secret": record.secret_id.hex(),
        "version": record.version.hex(),
        "expires_ms": record.expires,
        "absolute_ms": record.absolute,
        "created_ms": record.created,
        "last_seen_ms": record.last_seen,
        "meta": _text(record.meta),
        "data": _text(record.body),
    }


def _from_value(document: dict[str, Any]) -> Record:
    version = document["format"]
    if version != codec.FORMAT[0]:
        raise codec.UnknownFormatError if isinstance(version, int) else ValueError
    meta, data = document["meta"], document["data"]
    return Record(
        document["issuer"].encode(),
        bytes.fromhex(document["secret"]),
        bytes.fromhex(document["version"]),
        _time(document["expires_ms"]),
        _time(document["absolute_ms"]),
        _time(document["created_ms"]),
        _time(document["last_seen_ms"]),
        _content(meta) if isinstance(meta, str) else _compact(meta),
        _content(data) if isinstance(data, str) else _compact(data),
    )


def _text(content: bytes) -> str:
    return BASE64 + base64.b64encode(content).decode()


def _time(value: Any) -> int:
    """What fits in the six bytes that a time has elsewhere; raises ValueError, ArithmeticError."""
    if not 0 <= (time := int(value)) < 1 << 48:
        raise ValueError
    return time


def _content(text: str) -> bytes:
    return base64.b64decode(text.removeprefix(BASE64), validate=True)


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
