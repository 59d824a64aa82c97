"""Ids, handles and the layout of a record."""

from __future__ import annotations

import random
import string
from typing import Any

import pytest

from django_jam_sessions import SessionStoreUnavailable, codec
from django_jam_sessions.codec import PLAIN, Record


def test_an_id_fits_a_column_made_for_djangos_session_key() -> None:
    session_id = codec.issue(codec.random_locator(), codec.ENGINE).id
    assert len(session_id) == 40
    assert set(session_id) <= set(string.ascii_lowercase + string.digits)


@pytest.mark.parametrize("value", ["", "x", "3f8d-4b", "A.b_c~d+e/f=g:h@i", "v" * 128])
def test_an_id_says_where_its_record_lives(value: str) -> None:
    for _ in range(200):
        locator = codec.random_locator()
        session_id = codec.issue(locator, codec.ENGINE, (lambda: value) if value else None).id
        place = codec.place_of(session_id, codec.ENGINE)
        assert place is not None
        assert (place.locator, place.issuer) == (locator, codec.ENGINE)
        assert value in session_id


def test_no_character_of_a_secret_is_likelier_than_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """256 is no multiple of 36: the bytes that are left over are thrown away."""
    draws = [bytes([255] * 8 + [0] * 24), bytes([252] * 7 + [251] * 25)]
    monkeypatch.setattr("os.urandom", lambda length: draws.pop(0))
    assert codec.new_secret() == "z" * 25


def test_ids_of_one_key_share_no_recognisable_part() -> None:
    """At no position do they agree more often than chance has it."""
    locator = codec.plain_locator("5")
    ids = [codec.issue(locator, codec.ENGINE).id for _ in range(2000)]
    assert len(set(ids)) == len(ids)
    for position in range(40):
        most = max(sum(i[position] == character for i in ids) for character in codec.ALPHABET)
        assert most < 2000 / 36 * 2  # 55.6 on average; 111 is 7.5 standard deviations away


@pytest.mark.parametrize("value", [None, 5, "", "a b", "a;b", "é", "a\n", "v" * 129])
def test_a_factory_value_that_no_cookie_can_carry_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="id_factory") as raised:
        codec.issue(codec.random_locator(), b"e", lambda: value)  # type: ignore[arg-type,return-value]
    assert str(raised.value) == (
        "id_factory must return a str of 1 to 128 characters out of letters, digits and "
        "'._~+/=:@-'."
    )


def test_a_changed_character_anywhere_is_another_place() -> None:
    session_id = codec.issue(codec.random_locator(), codec.ENGINE, lambda: "value").id
    place = codec.place_of(session_id)
    for position, old in enumerate(session_id):
        for new in (set(codec.ALPHABET) | {"Z", "é", " ", "\0"}) - {old}:
            forged = session_id[:position] + new + session_id[position + 1 :]
            assert codec.place_of(forged) != place


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        b"0" * 40,
        "",
        "short",
        "0" * 39,
        "A" * 40,
        "٣" * 40,  # a digit to int(), not to us
        "_" * 40,
        "0" * 39 + "\n",
        "0" * 40 + "\n",
        "0" * 15 + "é" + "0" * 25,
        "\ud800" * 40,
        "0" * 10_000_000,
    ],
    ids=repr,
)
def test_what_can_be_no_id_has_no_place(value: object) -> None:
    assert codec.place_of(value) is None


def test_a_handle_finds_the_record_and_is_no_id() -> None:
    for _ in range(200):
        place = codec.place_of(codec.issue(codec.random_locator(), codec.ENGINE).id)
        assert place is not None
        handle = codec.handle_of(place.locator, place.field)
        assert codec.place_of_handle(handle) == place
        as_id = codec.place_of(handle)
        assert as_id is None or as_id.field != place.field


TOO_LARGE = "0" * 15 + ".f5lxx1zz5pnorynqglhzmsp34"  # 1 << 128 in base36


@pytest.mark.parametrize(
    "value", [None, 5, "", "a.b", "0" * 41, "0" * 15 + "." + "z" * 25, TOO_LARGE]
)
def test_what_can_be_no_handle_has_no_place(value: object) -> None:
    assert codec.place_of_handle(value) is None


def test_base36_is_what_int_reads() -> None:
    for length in (15, 25):
        for number in [0, 1, 35, 36, 36**length - 1, *random.sample(range(36**10), 50)]:
            assert int(codec.base36(number, length), 36) == number
            assert len(codec.base36(number, length)) == length


def record(**fields: Any) -> Record:
    base = Record(b"m", PLAIN, b"version8", 1, 2, 3, (1 << 48) - 1, b"meta", b"body")
    return base._replace(**fields)


@pytest.mark.parametrize("fields", [{}, {"meta": b"", "body": b""}, {"expires": 1 << 40}])
def test_a_record_is_unpacked_as_it_was_packed(fields: dict[str, Any]) -> None:
    assert codec.unpack(codec.pack(record(**fields))) == record(**fields)


def test_a_record_is_laid_out_as_it_always_was() -> None:
    """A release must read what the one before has written, and the Redis scripts count on it."""
    times = 1, (2 << 32) + 3, (4 << 32) + 5, (6 << 32) + 7
    packed = codec.pack(Record(b"m", b"abcd", b"version8", *times, b"meta", b"body"))
    assert packed == (
        b"\x01mabcdversion8\0\0\0\0\0\1\0\2\0\0\0\3\0\4\0\0\0\5\0\6\0\0\0\7\0\4metabody"
    )
    assert codec.unpack(packed) == Record(b"m", b"abcd", b"version8", *times, b"meta", b"body")


def test_a_place_is_found_as_it_always_was() -> None:
    """Else a new release would be the end of every session."""
    assert codec.plain_locator("5") == "exkbhaq0t0h82wn"
    field = b"/R\x1e*}\x0b\xd8\x12\xcb\xc05\xf4\xedh\x06\xeb"
    assert codec.place_of("0" * 15 + "a" * 25) == ("387c07leiu1j2sx", field, None)
    assert codec.handle_of("387c07leiu1j2sx", field) == "387c07leiu1j2sx.2suqzen6i3m41skt1p6pzd623"
    field = b"F\x1e\xf1\xb3\x9a\xb4\xf6\x9c\xd1C\xab\x80tv}\x84"
    named = codec.place_of("0" * 15 + "value" + "a" * 25, codec.ENGINE)
    assert named == ("lrene7dob369yx7", field, codec.ENGINE)


def test_what_holds_secrets_and_data_does_not_show_them() -> None:
    issued = codec.issue(codec.random_locator(), codec.ENGINE)
    assert repr(issued) == "<Issued>"
    assert repr(record(version=b"\xab" * 8)) == "<Record abababababababab>"
    assert repr(codec.Change(b"\xab" * 8, PLAIN, b"body")) == "<Change abababababababab>"


def test_a_written_record_has_the_version_of_the_write_alone() -> None:
    assert record().written(b"another8") == record(version=b"another8")


def test_a_torn_record_is_none() -> None:
    packed = codec.pack(record(meta=b"", body=b""))
    for length in range(len(packed)):
        assert codec.unpack(packed[:length]) is None


def test_a_record_that_is_cut_within_its_meta_part_is_none() -> None:
    packed = codec.pack(record(meta=b"meta", body=b""))
    for length in range(len(packed)):
        assert codec.unpack(packed[:length]) is None
    assert codec.unpack(packed) == record(meta=b"meta", body=b"")


def test_a_record_of_a_later_format_is_not_a_dead_session() -> None:
    message = "^A session is stored in a format that this release does not know.$"
    with pytest.raises(SessionStoreUnavailable, match=message):
        codec.unpack(b"\x02" + codec.pack(record())[1:])


def test_a_description_that_no_header_can_measure_is_refused() -> None:
    largest = record(meta=b"x" * 65535)
    assert codec.unpack(codec.pack(largest)) == largest
    with pytest.raises(ValueError, match=r"^The session's client description is over 64 KiB\.$"):
        codec.pack(record(meta=b"x" * 65536))
