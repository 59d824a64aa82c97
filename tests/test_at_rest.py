"""What somebody who reads, or writes, the whole store learns and can do."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import Client

from django_jam_sessions import SessionModule, codec, sessions
from django_jam_sessions.codec import Place
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from .conftest import Face

DATA = "the-data-of-the-session"
KEY = "the-session-key-of-somebody"


def dump(redis_client: redis.Redis, prefix: str, directory: Path) -> bytes:
    """Everything in every store, names included."""
    parts: list[bytes] = []
    for key in redis_client.scan_iter(match=prefix + ":*", count=1000):
        parts.append(key)
        held: Any = redis_client.hgetall(key)
        for field, value in held.items():
            parts += [field, value]
    for path in directory.rglob("*"):
        parts.append(str(path.relative_to(directory)).encode())
        if path.suffix == ".sqlite3":
            with contextlib.closing(sqlite3.connect(path)) as connection:
                parts += [line.encode() for line in connection.iterdump()]
        if path.is_file():
            parts.append(path.read_bytes())
    return b"\n".join(parts)


@pytest.fixture
def whole_store(redis_client: redis.Redis, prefix: str, tmp_path: Path) -> Any:
    return lambda: dump(redis_client, prefix, tmp_path)


def hidden(text: str, within: bytes) -> bool:
    """Neither the text nor a recognisable part of it is in there, in hex or otherwise."""
    forms = [text.encode(), text.encode().hex().encode()]
    forms += [part.encode() for part in (text[:15], text[15:], text[-25:])]
    return not any(form.lower() in within.lower() for form in forms)


@pytest.mark.django_db
def test_after_signing_in_the_store_holds_no_id(
    jam_settings: Any, whole_store: Any, django_user_model: Any, is_session_crypt: bool
) -> None:
    django_user_model.objects.create_user("ada", password="ada's", pk=123454321)
    client = Client()
    client.post("/accounts/login/", {"username": "ada", "password": "ada's"})
    session_id = client.cookies["sessionid"].value
    assert sessions.sync.count("123454321") == 1
    everything = whole_store()
    assert len(everything) > 100
    assert hidden(session_id, everything)
    assert (b"123454321" in everything) is (not is_session_crypt)
    assert (b"ModelBackend" in everything) is (not is_session_crypt)


def test_a_modules_store_holds_no_id_and_sealed_no_key_and_no_data(
    module: SessionModule, call: Face, whole_store: Any, is_session_crypt: bool
) -> None:
    session_id = call(module, "create", KEY, {"a": DATA})
    old, session_id = session_id, call(module, "rework", session_id)
    call(module, "update", session_id, {"b": DATA})
    everything = whole_store()
    assert hidden(session_id, everything)
    assert hidden(old, everything)
    for text in (KEY, DATA):
        assert (text.encode() in everything) is (not is_session_crypt)


def records_of(module: SessionModule, key: str) -> dict[Place, Any]:
    (locator,) = module.operations.cipher.locators(key)
    page, _ = module.backend.list(locator, 100)
    return {
        place: module.backend.fetch(place)
        for place in (Place(locator, field, b"m") for field, _ in page)
    }


def overwrite(module: SessionModule, place: Place, record: Any) -> None:
    """What somebody who writes the store can do."""
    module.backend.remove(place)
    assert module.backend.insert(place, record, 1_000_000)


@pytest.mark.parametrize("victims_key", ["5", "6"], ids=["another session", "another user"])
def test_a_copied_record_does_not_open(
    store: dict[str, Any],
    call: Face,
    victims_key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = SessionModule(is_session_crypt=True, session_aes_secret=b"s" * 32, **store)
    call(module, "create", victims_key, {"is_admin": True})
    (copied,) = records_of(module, victims_key).values()
    mine = call(module, "create", "5", {"is_admin": False})
    place = codec.place_of(mine, codec.MODULE)
    assert place is not None
    overwrite(module, place, copied)
    with caplog.at_level(logging.WARNING, "django.security"):
        assert call(module, "get", mine, None) is None
    assert "is unusable" in caplog.text
    assert mine not in caplog.text
    assert "is_admin" not in caplog.text


def test_a_longer_life_does_not_open(store: dict[str, Any]) -> None:
    module = SessionModule(is_session_crypt=True, session_aes_secret=b"s" * 32, **store)
    session_id = module.sync.create("5", {})
    ((place, record),) = records_of(module, "5").items()
    overwrite(module, place, record)
    assert module.sync.get(session_id) == {}
    overwrite(module, place, record._replace(absolute=(1 << 48) - 1))
    assert module.sync.get(session_id, None) is None


def test_a_session_can_be_rolled_back(module: SessionModule, call: Face) -> None:
    """Documented: who kept a copy of a record can put it back, also after the session's end."""
    session_id = call(module, "create", "5", {"n": 1})
    ((place, record),) = records_of(module, "5").items()
    call(module, "update", session_id, {"n": 2})
    overwrite(module, place, record)
    assert call(module, "get", session_id) == {"n": 1}
    call(module, "delete", session_id)
    overwrite(module, place, record)
    assert call(module, "get", session_id) == {"n": 1}


def test_a_tampered_session_is_signed_out_not_an_error(
    jam_settings: Any, call: Face, caplog: pytest.LogCaptureFixture
) -> None:
    store = SessionStore()
    call(store, "update", {"_auth_user_id": "5"})
    call(store, "save")
    module = configured.current()
    place = codec.place_of(store.session_key, codec.ENGINE)
    assert place is not None
    record = module.backend.fetch(place)
    assert record is not None
    overwrite(module, place, record._replace(body=b"\xff\x00garbage"))
    again = SessionStore(store.session_key)
    assert dict(call(again, "items")) == {}
    assert again.session_key is None  # never an empty session under the same id
    assert "is unusable" in caplog.text


def test_forged_ids_write_nothing(jam_settings: Any, call: Face, whole_store: Any) -> None:
    call(configured.current(), "create", "5", {})
    before = whole_store()
    for forged in ("0" * 40, "x" * 10_000_000, "é" * 40, "0" * 15 + ".", "a.b"):
        store = SessionStore(forged)
        assert call(store, "get", "x") is None
        assert call(store, "exists", forged) is False
        call(store, "delete", forged)
        assert store.session_key is None
    assert whole_store() == before


def test_nothing_that_is_shown_holds_an_id(jam_settings: Any, call: Face) -> None:
    """Errors, representations and pages are searched for ids."""
    module = configured.current()
    session_id = call(module, "create", KEY, {"a": DATA})
    shown = [repr(module), repr(module.sync), repr(SessionStore(session_id))]
    shown += [repr(call(module, "list", KEY)), repr(call(module, "keys"))]
    with pytest.raises(TypeError) as error:
        call(module, "update", session_id, {"a": {1, 2}})
    shown.append(str(error.value))
    for text in shown:
        assert session_id not in text
        assert DATA not in text
