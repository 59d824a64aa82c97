"""A record as a JSON document: readable, and editable, where it is not encrypted."""

from __future__ import annotations

import base64
import json
from typing import Any

from .. import codec
from ..codec import Record


def to_document(record: Record) -> dict[str, Any]:
    return {
        "format": codec.FORMAT[0],
        "issuer": record.issuer.decode(),
        "secret": record.secret_id.hex(),
        "version": record.version.hex(),
        "expires_ms": record.expires,
        "absolute_ms": record.absolute,
        "created_ms": record.created,
        "last_seen_ms": record.last_seen,
        "meta": _to_value(record.meta),
        "data": _to_value(record.body),
    }


def from_document(document: dict[str, Any]) -> Record:
    """The record; raises KeyError, TypeError or ValueError where the document is torn."""
    version = document["format"]
    if version != codec.FORMAT[0]:
        raise codec.UnknownFormatError if isinstance(version, int) else ValueError
    return Record(
        document["issuer"].encode(),
        bytes.fromhex(document["secret"]),
        bytes.fromhex(document["version"]),
        int(document["expires_ms"]),
        int(document["absolute_ms"]),
        int(document["created_ms"]),
        int(document["last_seen_ms"]),
        _from_value(document["meta"]),
        _from_value(document["data"]),
    )


BASE64 = "base64:"


def _to_value(content: bytes) -> Any:
    """JSON as it is, for eyes and editors; what would not come back to the byte, as base64."""
    try:
        value = json.loads(content)
        if not isinstance(value, str) and _compact(value) == content:
            return value
    except (ValueError, RecursionError):
        pass
    return BASE64 + base64.b64encode(content).decode()


def _from_value(value: Any) -> bytes:
    if isinstance(value, str):
        return base64.b64decode(value.removeprefix(BASE64), validate=True)
    return _compact(value)


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
