"""MAX_DATA_BYTES: too much data is an error that says so, and nothing of it is stored."""

from __future__ import annotations

from typing import Any

import pytest

from django_jam_sessions import JamSessionsError, SessionDataTooLarge, SessionModule, sessions
from django_jam_sessions.conf import MAX_DATA_BYTES
from django_jam_sessions.engine import SessionStore

from .conftest import Face

FITS, TOO_LARGE = {"a": "x" * 42}, {"a": "x" * 43}  # 50 and 51 bytes of JSON


@pytest.fixture
def limited(jam_settings: Any) -> Any:
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "MAX_DATA_BYTES": 50}
    return jam_settings


def test_the_error_names_the_size_and_the_limit() -> None:
    error = SessionDataTooLarge(51, 50)
    assert isinstance(error, JamSessionsError)
    assert isinstance(error, ValueError)
    assert str(error) == "The session's data is 51 bytes of JSON, and MAX_DATA_BYTES is 50."


def test_a_module_stores_what_fits(limited: Any, call: Face) -> None:
    session_id = call(sessions.current(), "create", "17", FITS)  # type: ignore[attr-defined]
    module = sessions.current()  # type: ignore[attr-defined]
    for name, *arguments in (("create", "17"), ("update", session_id)):
        with pytest.raises(SessionDataTooLarge, match="51 bytes"):
            call(module, name, *arguments, TOO_LARGE)
    assert call(module, "get", session_id) == FITS
    assert call(module, "count", "17") == 1


def test_the_engine_stores_what_fits(limited: Any, call: Face) -> None:
    store = SessionStore()
    store.update(TOO_LARGE)
    with pytest.raises(SessionDataTooLarge, match="51 bytes"):
        call(store, "save")
    store.update(FITS)
    call(store, "save")
    again = SessionStore(store.session_key)
    call(again, "load")
    again.update(TOO_LARGE)
    with pytest.raises(SessionDataTooLarge, match="MAX_DATA_BYTES is 50"):
        call(again, "save")
    with pytest.raises(SessionDataTooLarge):
        call(again, "cycle_key")
    assert call(SessionStore(store.session_key), "load") == FITS


def test_what_was_stored_under_a_higher_limit_lives_on(jam_settings: Any, call: Face) -> None:
    store = SessionStore()
    store.update({**TOO_LARGE, "b": 1})
    call(store, "save")
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "MAX_DATA_BYTES": 50}
    again = SessionStore(store.session_key)
    call(again, "load")
    call(again, "save")  # nothing is changed: it is only seen
    call(again, "cycle_key")
    call(again, "pop", "a")
    call(again, "save")
    assert call(SessionStore(again.session_key), "load") == {"b": 1}


def test_without_a_limit_everything_is_stored(jam_settings: Any) -> None:
    large = {"a": "x" * MAX_DATA_BYTES}
    with pytest.raises(SessionDataTooLarge):
        sessions.sync.create("17", large)
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "MAX_DATA_BYTES": None}
    assert sessions.sync.get(sessions.sync.create("17", large)) == large
    store = SessionStore()
    store.update(large)
    store.save()
    assert SessionStore(store.session_key).load() == large


def test_a_module_of_its_own_takes_the_limit_as_an_argument(store: dict[str, Any]) -> None:
    with pytest.raises(SessionDataTooLarge):
        SessionModule(max_data_bytes=50, **store).sync.create("17", TOO_LARGE)
    assert SessionModule(max_data_bytes=None, **store).sync.create("17", TOO_LARGE)
