"""Encryption: what opens, what does not, and which secret is meant."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_jam_sessions import codec
from django_jam_sessions.codec import PLAIN, Place, Record
from django_jam_sessions.sealing import (
    KEPT,
    Plain,
    Sealed,
    Secret,
    UnreadableError,
    parse_secrets,
    secrets_from_django,
)

A, B = b"a" * 32, b"b" * 32


def place() -> Place:
    return Place(codec.random_locator(), os.urandom(16), b"m")


def sealed(cipher: Sealed, where: Place, secret_id: bytes | None = None) -> Record:
    secret_id = secret_id or cipher.secret_id
    return cipher.seal(where, Record(b"m", secret_id, b"version8", 0, 99, 5, 5, b"meta", b"body"))


def test_what_was_sealed_opens() -> None:
    cipher, where = Sealed([A]), place()
    record = sealed(cipher, where)
    assert cipher.open_body(where, record) == b"body"
    assert cipher.open_meta(where, record) == b"meta"
    assert b"body" not in record.body


def test_what_a_release_before_has_sealed_opens() -> None:
    """Whatever is derived from a secret, and what a record is bound to, is for ever."""
    packed = bytes.fromhex(
        "016db4cf186e76657273696f6e3800000000000100020000000300040000000500060000000700200c482081ba"
        "c9f52a37b276602bea8df020fa3cb800419a75ffb1f3915ce49c7dfdb3f4b8433586b706b6eb3e81cef12c5eb9"
        "fe9cac97846626de9239fed71d3f"
    )
    where, record = codec.place_of("0" * 15 + "a" * 25, b"m"), codec.unpack(packed)
    assert where is not None
    assert record is not None
    assert Sealed([A]).open_meta(where, record) == b"meta"
    assert Sealed([A]).open_body(where, record) == b"body"
    assert Sealed([A]).locator("5") == "0x23zkpxemzt0ne"
    assert [secret.hex()[:16] for secret in secrets_from_django("old", ["older"])] == [
        "cf7538a925adaab6",
        "97da30e941d5d037",
    ]


def test_the_same_text_is_never_sealed_alike() -> None:
    cipher, where = Sealed([A]), place()
    assert sealed(cipher, where).body != sealed(cipher, where).body


@pytest.mark.parametrize("field", [{"locator": "0" * 15}, {"field": b"f" * 16}], ids=str)
def test_a_record_copied_to_another_session_or_key_does_not_open(field: dict[str, Any]) -> None:
    cipher, where = Sealed([A]), place()
    record = sealed(cipher, where)
    with pytest.raises(UnreadableError):
        cipher.open_body(where._replace(**field), record)
    with pytest.raises(UnreadableError):
        cipher.open_meta(where._replace(**field), record)


@pytest.mark.parametrize(
    "fields",
    [{"created": 6}, {"absolute": 100}, {"absolute": 0}, {"issuer": b"e"}, {"secret_id": b"0000"}],
    ids=str,
)
def test_a_header_that_was_changed_does_not_open(fields: dict[str, Any]) -> None:
    """Nobody gives a session a longer life, or makes a module's session an engine's."""
    cipher, where = Sealed([A]), place()
    with pytest.raises(UnreadableError):
        cipher.open_body(where, sealed(cipher, where)._replace(**fields))


def test_a_meta_part_is_no_body() -> None:
    cipher, where = Sealed([A]), place()
    record = sealed(cipher, where)
    with pytest.raises(UnreadableError):
        cipher.open_body(where, record._replace(body=record.meta))


def test_an_altered_or_cut_body_does_not_open() -> None:
    cipher, where = Sealed([A]), place()
    record = sealed(cipher, where)
    for position in range(len(record.body)):
        flipped = bytearray(record.body)
        flipped[position] ^= 1
        with pytest.raises(UnreadableError):
            cipher.open_body(where, record._replace(body=bytes(flipped)))
        with pytest.raises(UnreadableError):
            cipher.open_body(where, record._replace(body=record.body[:position]))


def test_the_first_secret_seals_and_all_open() -> None:
    old, both, where = Sealed([A]), Sealed([B, A]), place()
    assert both.open_body(where, sealed(old, where)) == b"body"
    assert Sealed([B]).open_body(where, sealed(both, where)) == b"body"
    with pytest.raises(UnreadableError):
        old.open_body(where, sealed(both, where))
    assert both.locators("5") == [*Sealed([B]).locators("5"), *old.locators("5")]


def test_the_store_shows_no_key() -> None:
    """Without the secret a locator can't be made from a session key."""
    assert Sealed([A]).locators("5") != Sealed([B]).locators("5") != Plain().locators("5")


def test_plain_and_sealed_records_do_not_mix() -> None:
    cipher, where = Sealed([A]), place()
    plain = Record(b"m", PLAIN, b"version8", 0, 0, 5, 5, b"meta", b"body")
    for opener, record in ((Plain(), sealed(cipher, where)), (cipher, plain)):
        with pytest.raises(UnreadableError):
            opener.open_body(where, record)
        with pytest.raises(UnreadableError):
            opener.open_meta(where, record)
    with pytest.raises(UnreadableError):
        Plain().seal_body(where, cipher.secret_id, b"body")


def test_another_meta_part_opens_where_the_first_did() -> None:
    cipher, where = Sealed([B, A]), place()
    for old in (Sealed([A]), cipher):
        record = sealed(old, where)
        changed = record._replace(meta=cipher.seal_meta(where, record, b"another"))
        assert cipher.open_meta(where, changed) == b"another"
        assert cipher.open_body(where, changed) == b"body"
        with pytest.raises(UnreadableError):
            cipher.open_meta(where, changed._replace(absolute=100))
        with pytest.raises(UnreadableError):
            Plain().seal_meta(where, record, b"another")
    with pytest.raises(UnreadableError):
        Sealed([A]).seal_meta(where, sealed(cipher, where), b"another")
    plain = Record(b"m", PLAIN, b"version8", 0, 0, 5, 5, b"meta", b"body")
    assert Plain().seal_meta(where, plain, b"another") == b"another"


def test_no_more_places_are_remembered_than_a_process_has_room_for() -> None:
    """Whoever may choose session keys could fill the memory."""
    locators: list[Any] = [Secret(A).locator, Plain.locator]
    for locator in locators:
        for number in range(KEPT + 10):
            locator(str(number))
        assert locator.cache_info().currsize == KEPT == 1024


def urlsafe(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode()


DASHES = b"\xfb\xff" * 16


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        (A, [A]),
        (b"," * 32, [b"," * 32]),
        (urlsafe(A), [A]),
        (urlsafe(A).rstrip("="), [A]),
        (urlsafe(DASHES), [DASHES]),
        ("%s, %s" % (urlsafe(A), urlsafe(B)), [A, B]),
        ([A, urlsafe(B)], [A, B]),
        ((A,), [A]),
    ],
)
def test_secrets_are_read_in_every_form(value: object, secrets: list[bytes]) -> None:
    assert parse_secrets(value) == secrets


@pytest.mark.parametrize(
    "value",
    [b"", b"a" * 31, b"a" * 64, "", "no base64!", urlsafe(b"a" * 16), [], [b"short"], 5, None, {1}],
    ids=repr,
)
def test_a_bad_secret_is_an_error_that_does_not_show_it(value: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="session_aes_secret") as error:
        parse_secrets(value)
    if isinstance(value, str) and value:
        assert value not in str(error.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "a urlsafe base64 str or a sequence of these, not int."),
        (b"short", "session_aes_secret: each secret must be exactly 32 bytes."),
        ("c2hvcnQ=", "session_aes_secret: each secret must be exactly 32 bytes."),
        (urlsafe(A) + "!", "session_aes_secret: not urlsafe base64."),
    ],
)
def test_what_is_wrong_with_a_secret_is_said(value: object, message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="session_aes_secret") as error:
        parse_secrets(value)
    assert str(error.value).endswith(message)


def test_secrets_come_from_djangos_and_rotate_with_them() -> None:
    old, new = secrets_from_django("old", []), secrets_from_django(b"new", ["old"])
    assert new[1:] == old
    assert {len(secret) for secret in new} == {32}
    assert new[0] != new[1]
