"""Plain or sealed: the object that SessionModule is handed, chosen once.

AES-256-GCM and HKDF come from ``cryptography``; nothing here is a scheme of our own.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
import os
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured

from . import codec
from .codec import PLAIN, Place, Record

KEPT = 1024  # locators
KEYS = 1024  # to seal with, out of each secret
NONCE_LENGTH = 12  # bytes; NIST SP 800-38D, 8.2.2


class UnreadableError(Exception):
    """The record does not open: tampered with, copied here, or sealed with a secret not ours."""


class Cipher(Protocol):
    secret_id: bytes  # of the secret that seals new records
    secret_ids: Sequence[bytes]  # of all that open, the first one seals

    def locator(self, session_key: str) -> str:
        """Where a new session of the key lives."""

    def locators(self, session_key: str) -> list[str]:
        """Where the key's sessions may live: locator(), and then from new secrets to old."""

    def seal(self, place: Place, record: Record) -> Record:
        """``record`` for ``place``, its meta and its body sealed with the secret it names."""

    def seal_meta(self, place: Place, record: Record, meta: bytes) -> bytes:
        """Another meta part for a stored record; raises UnreadableError."""

    def seal_body(self, place: Place, secret_id: bytes, body: bytes) -> bytes:
        """Raises UnreadableError where the secret is not ours."""

    def open_meta(self, place: Place, record: Record) -> bytes:
        """Raises UnreadableError."""

    def open_body(self, place: Place, record: Record) -> bytes:
        """Raises UnreadableError."""


class Plain:
    secret_id = PLAIN
    secret_ids: Sequence[bytes] = (PLAIN,)

    locator = staticmethod(functools.lru_cache(KEPT)(codec.plain_locator))

    def locators(self, session_key: str) -> list[str]:
        return [self.locator(session_key)]

    def seal(self, place: Place, record: Record) -> Record:
        return record

    def seal_meta(self, place: Place, record: Record, meta: bytes) -> bytes:
        _require_plain(record.secret_id)
        return meta

    def seal_body(self, place: Place, secret_id: bytes, body: bytes) -> bytes:
        _require_plain(secret_id)
        return body

    def open_meta(self, place: Place, record: Record) -> bytes:
        _require_plain(record.secret_id)
        return record.meta

    def open_body(self, place: Place, record: Record) -> bytes:
        _require_plain(record.secret_id)
        return record.body


def _require_plain(secret_id: bytes) -> None:
    if secret_id != PLAIN:
        raise UnreadableError("It is encrypted and is_session_crypt is off.")


class Secret:
    """One 32-byte secret and what HKDF derives from it: each use has a key of its own."""

    def __init__(self, secret: bytes) -> None:
        self.id = _derive(secret, b"jam-sessions secret id", 4)
        self.sealing_key = _derive(secret, b"jam-sessions sealing")
        self.locator_key = _derive(secret, b"jam-sessions locator")
        self._aeads: dict[int, AESGCM] = {}

        self.locator = functools.lru_cache(KEPT)(self._locator)

    def _locator(self, session_key: str) -> str:
        return codec.locator_of(hmac.digest(self.locator_key, session_key.encode(), "sha256"))

    def aead(self, place: Place) -> AESGCM:
        """One of KEYS, chosen by the session and made once: to make one takes longer than to seal.

        Random nonces are good for 2**32 messages a key (NIST SP 800-38D, 8.3), so a secret is for
        2**42: 10,000 writes a second for 14 years.
        """
        number = int.from_bytes(place.field[:2], "big") % KEYS
        try:
            return self._aeads[number]
        except KeyError:
            key = hmac.digest(self.sealing_key, b"%d" % number, "sha256")
            return self._aeads.setdefault(number, AESGCM(key))


class Sealed:
    def __init__(self, secrets: Sequence[bytes]) -> None:
        # One that is named twice, as a SECRET_KEY among its own fallbacks, is one secret.
        self.secrets = [Secret(secret) for secret in dict.fromkeys(secrets)]
        self.secret_ids: Sequence[bytes] = [secret.id for secret in self.secrets]
        self.secret_id = self.secret_ids[0]
        self._by_id = {secret.id: secret for secret in reversed(self.secrets)}

    def locator(self, session_key: str) -> str:
        return self.secrets[0].locator(session_key)

    def locators(self, session_key: str) -> list[str]:
        return [secret.locator(session_key) for secret in self.secrets]

    def seal(self, place: Place, record: Record) -> Record:
        aead = self._aead(place, record.secret_id)
        context = _context(place, record.issuer, record.secret_id)
        return record._replace(
            meta=_encrypt(aead, record.meta, _META + context + _life(record)),
            body=_encrypt(aead, record.body, _BODY + context),
        )

    def seal_meta(self, place: Place, record: Record, meta: bytes) -> bytes:
        context = _META + _context(place, record.issuer, record.secret_id) + _life(record)
        return _encrypt(self._aead(place, record.secret_id), meta, context)

    def seal_body(self, place: Place, secret_id: bytes, body: bytes) -> bytes:
        context = _BODY + _context(place, place.issuer or b"", secret_id)
        return _encrypt(self._aead(place, secret_id), body, context)

    def open_meta(self, place: Place, record: Record) -> bytes:
        context = _context(place, record.issuer, record.secret_id)
        aead = self._aead(place, record.secret_id)
        return _decrypt(aead, record.meta, _META + context + _life(record))

    def open_body(self, place: Place, record: Record) -> bytes:
        context = _context(place, record.issuer, record.secret_id)
        aead = self._aead(place, record.secret_id)
        # What the meta part is bound to, the life's beginning and end, holds for the body too.
        _decrypt(aead, record.meta, _META + context + _life(record))
        return _decrypt(aead, record.body, _BODY + context)

    def _aead(self, place: Place, secret_id: bytes) -> AESGCM:
        try:
            secret = self._by_id[secret_id]
        except KeyError:
            raise UnreadableError("No secret of ours sealed it.") from None
        return secret.aead(place)


def _encrypt(aead: AESGCM, text: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_LENGTH)
    return nonce + aead.encrypt(nonce, text, context)


def _decrypt(aead: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], context)
    except (InvalidTag, ValueError):  # ValueError: cut below the length of a nonce
        raise UnreadableError("It was altered, or belongs to another session.") from None


_META, _BODY = b"meta" + codec.FORMAT, b"body" + codec.FORMAT


def _context(place: Place, issuer: bytes, secret_id: bytes) -> bytes:
    return issuer + secret_id + place.locator.encode() + place.field


def _life(record: Record) -> bytes:
    return b"%d %d" % (record.created, record.absolute)


def _derive(secret: bytes, info: bytes, length: int = 32) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)


def parse_secrets(value: object) -> list[bytes]:
    """``session_aes_secret`` as a list of 32-byte secrets, the one that seals first.

    ``bytes`` are one secret and never split; a ``str`` is urlsafe base64, several separated by
    commas; a sequence holds either. Raises ImproperlyConfigured, never showing the value.
    """
    if isinstance(value, bytes):
        secrets = [value]
    elif isinstance(value, str):
        secrets = [_from_base64(part) for part in value.split(",")]
    elif isinstance(value, Sequence):
        secrets = [secret for part in value for secret in parse_secrets(part)]
    else:
        raise ImproperlyConfigured(
            "session_aes_secret must be bytes, a urlsafe base64 str or a sequence of these, "
            "not %s." % type(value).__name__
        )
    if not secrets or any(len(secret) != 32 for secret in secrets):
        raise ImproperlyConfigured("session_aes_secret: each secret must be exactly 32 bytes.")
    return secrets


def _from_base64(text: str) -> bytes:
    text = text.strip()
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ImproperlyConfigured("session_aes_secret: not urlsafe base64.") from None


def secrets_from_django(secret_key: str | bytes, fallbacks: Sequence[str | bytes]) -> list[bytes]:
    """AES secrets out of SECRET_KEY and SECRET_KEY_FALLBACKS, rotated as these are."""
    keys = [key.encode() if isinstance(key, str) else key for key in (secret_key, *fallbacks)]
    return [_derive(key, b"jam-sessions secret from SECRET_KEY") for key in keys]
