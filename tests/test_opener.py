"""Records that open, and the line in the log for those that do not."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import pytest

from django_jam_sessions import codec
from django_jam_sessions.backends.base import Found
from django_jam_sessions.codec import ENGINE, MODULE, PLAIN, Place, Record
from django_jam_sessions.infos import Meta, Stored, meta_of, meta_text
from django_jam_sessions.opener import Opener
from django_jam_sessions.sealing import Plain, Sealed, UnreadableError

A, B = b"a" * 32, b"b" * 32
CLIENT = ["192.0.2.7", "x"]


def stored(
    opener: Opener, meta: Meta, body: bytes = b"{}", issuer: bytes = MODULE, **fields: Any
) -> Stored:
    place = Place(codec.random_locator(), os.urandom(16), issuer)
    record = opener._sealed(place, meta, body, 7, 9)
    return Stored("", place, record._replace(**fields), body)


def line(place: Place, reason: str) -> str:
    handle = codec.handle_of(place.locator, place.field)
    return "Session %s is unusable. %s" % (handle, reason)


@pytest.fixture(params=[Plain(), Sealed([A])], ids=["plain", "sealed"])
def opener(request: pytest.FixtureRequest) -> Opener:
    return Opener(request.param)


ALTERED = "It was altered, or belongs to another session."


def test_a_new_record_holds_what_it_was_made_of(opener: Opener) -> None:
    made = stored(opener, Meta("5", CLIENT), b"{}", ENGINE).record
    assert made.issuer == ENGINE
    assert made.secret_id == opener.cipher.secret_id
    assert len(made.version) == 8
    assert (made.expires, made.absolute, made.created, made.last_seen) == (0, 9, 7, 7)
    unlimited = opener._sealed(Place("0" * 15, b"f" * 16, MODULE), Meta(None), b"", 7)
    assert unlimited.absolute == 0


def test_what_is_shown_of_a_session_that_was_loaded(opener: Opener) -> None:
    each = stored(opener, Meta("5", CLIENT))
    info = opener.info(each)
    assert (info.session_key, info.is_current, info.client) == ("5", True, tuple(CLIENT))
    assert info.handle == codec.handle_of(*each.place[:2])
    assert repr(info) == "<SessionInfo %s>" % info.handle
    assert repr(each) == "<Stored %s>" % info.handle
    assert info.created_at.timestamp() == info.last_seen_at.timestamp() == 0.007
    assert info.expires_at is not None
    assert info.expires_at.timestamp() == 0.009
    assert opener.info(stored(opener, Meta(None))).session_key == ""


@pytest.mark.parametrize(
    ("expires", "absolute", "shown"), [(0, 0, None), (5, 0, 5), (0, 6, 6), (5, 6, 5), (8, 6, 6)]
)
def test_the_earliest_expiry_is_shown(expires: int, absolute: int, shown: int | None) -> None:
    opener = Opener(Plain())
    ends = opener.info(stored(opener, Meta("5"), expires=expires, absolute=absolute)).expires_at
    assert ends == shown or (ends is not None and ends.timestamp() * 1000 == shown)


def test_who_is_anonymous_has_no_key_and_the_secret_that_seals_now() -> None:
    old, new = Opener(Sealed([A])), Opener(Sealed([B, A]))
    assert old.is_anonymous(stored(old, Meta(None)))
    assert not old.is_anonymous(stored(old, Meta("5")))
    assert not new.is_anonymous(stored(old, Meta(None)))
    assert new.is_anonymous(stored(new, Meta(None)))


def test_a_body_that_does_not_open_is_none_and_a_line(caplog: pytest.LogCaptureFixture) -> None:
    opener = Opener(Sealed([A]))
    each = stored(opener, Meta("5"), b"body")
    opened = opener.opened("the id", each.place, each.record)
    assert opened == ("the id", each.place, each.record, b"body")
    assert caplog.messages == []
    assert opener.opened("the id", each.place, each.record._replace(body=b"x" * 40)) is None
    assert caplog.record_tuples == [
        ("django.security.django_jam_sessions", logging.WARNING, line(each.place, ALTERED))
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_data_that_is_none_is_none_and_a_line(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    opener = Opener(Plain())
    assert opener.read(stored(opener, Meta("5"), b'{"a":1}'), json.loads) == {"a": 1}
    torn = stored(opener, Meta("5"), body)
    assert opener.read(torn, json.loads) is None
    assert caplog.messages == [line(torn.place, "Its data is torn, or another serializer's.")]


def test_whose_session_it_is_where_that_opens(caplog: pytest.LogCaptureFixture) -> None:
    opener = Opener(Plain())
    each = stored(opener, Meta("5", CLIENT))
    torn = each._replace(record=each.record._replace(meta=b"torn"))
    assert opener._session_key(each.place, each.record) == "5"
    assert opener.meta(each) == ("5", CLIENT)
    assert opener.meta(torn) == (None, None)
    assert caplog.messages == []
    assert opener._session_key(torn.place, torn.record) is None
    assert caplog.messages == [line(torn.place, "Its meta part is torn.")]


def test_the_first_session_that_opens_says_whose_all_are(caplog: pytest.LogCaptureFixture) -> None:
    opener, locator = Opener(Plain()), codec.random_locator()
    record = stored(opener, Meta("5")).record
    torn = record._replace(meta=b"torn")
    owner = opener._owner(Found(locator, 2, [(b"1" * 16, torn), (b"2" * 16, record)]))
    assert owner == ("5", None)
    assert caplog.messages == [line(Place(locator, b"1" * 16), "Its meta part is torn.")]
    assert opener._owner(Found(locator, 1, [(b"1" * 16, torn)])) is None


def test_a_page_leaves_out_what_is_torn_or_another_keys(caplog: pytest.LogCaptureFixture) -> None:
    opener, locator = Opener(Plain()), codec.random_locator()
    page: list[tuple[bytes, Record]] = []
    for number, meta in enumerate([b'["5"]', b'["5",["::1","x"]]', b'["55"]', b"torn"]):
        record = Record(MODULE, PLAIN, b"version8", 0, 0, 0, 0, meta, b"")
        page.append((b"%d" % number * 16, record))
    found = list(opener._infos("5", locator, page, b"1" * 16))
    assert [info.is_current for info in found] == [False, True]
    assert [info.handle[:15] for info in found] == [locator, locator]
    assert {info.session_key for info in found} == {"5"}
    places = [Place(locator, field) for field, _ in page[2:]]
    assert caplog.messages == [line(place, "Its meta part is torn.") for place in places]
    assert [info.is_current for info in opener._infos("5", locator, page[:1], None)] == [False]


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        (Meta(None), b"[null]"),
        (Meta("5"), b'["5"]'),
        (Meta('a"\u00e9'), b'["a\\"\\u00e9"]'),
        (Meta("5", ["::1", "x"]), b'["5",["::1","x"]]'),
        (Meta(None, ["::1", "x"]), b'[null,["::1","x"]]'),
    ],
)
def test_the_meta_part_is_laid_out_as_it_always_was(meta: Meta, text: bytes) -> None:
    assert meta_text(meta) == text
    assert meta_of(text) == meta


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"5", b"[5]", b'["5",1,2]', b'[["5"]]', b'[""]', b'["\\ud800"]', b"[" * 9999],
    ids=lambda text: repr(text[:12]),
)
def test_a_meta_part_that_names_no_key_can_not_be_read(text: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"^Its meta part is torn\.$"):
        meta_of(text)


def test_why_a_sealed_record_can_not_be_read() -> None:
    ours, theirs = Opener(Sealed([A])), Opener(Sealed([B]))
    each = stored(theirs, Meta("5"))
    with pytest.raises(UnreadableError, match=r"^No secret of ours sealed it\.$"):
        ours.cipher.open_body(each.place, each.record)
    with pytest.raises(UnreadableError, match=r"^It is encrypted and is_session_crypt is off\.$"):
        Plain().open_body(each.place, each.record)
    cut = each.record._replace(body=b"x" * 5)
    with pytest.raises(UnreadableError, match="^%s$" % ALTERED):
        theirs.cipher.open_body(each.place, cut)
