"""When sessions end: at which millisecond, and which of several ends comes first, without sleep."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_jam_sessions import SessionModule, sessions
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from .clocks import StopAt, stop_at
from .conftest import Face

__all__ = ["stop_at"]

START = (int(time.time()) + 86_400) * 1000  # a day ahead: what ends must not be gone before we look
HOUR = 3_600_000  # milliseconds


@pytest.fixture
def at(stop_at: StopAt) -> StopAt:
    """Moves all clocks to so many milliseconds after the start."""
    stop_at(START)
    return lambda milliseconds: stop_at(START + milliseconds)


def lasting(store: dict[str, Any], is_session_crypt: bool, **times: Any) -> SessionModule:
    return SessionModule(is_session_crypt=is_session_crypt, **store, **times)


def test_a_modules_session_ends_session_ttl_after_the_last_write(
    store: dict[str, Any], is_session_crypt: bool, call: Face, at: StopAt
) -> None:
    module = lasting(store, is_session_crypt, session_ttl=10)
    session_id = call(module, "create", "5", {})
    at(9_999)
    assert call(module, "get", session_id) == {}
    call(module, "update", session_id, {"a": 1})
    at(19_998)
    assert call(module, "get", session_id) == {"a": 1}
    assert call(module, "count", "5") == 1
    at(19_999)
    assert call(module, "get", session_id, None) is None
    assert call(module, "count", "5") == 0


def test_no_write_and_no_new_id_outlives_absolute_ttl(
    store: dict[str, Any], is_session_crypt: bool, call: Face, at: StopAt
) -> None:
    module = lasting(store, is_session_crypt, session_ttl=10, absolute_ttl=15)
    session_id = call(module, "create", "5", {})
    at(9_000)
    call(module, "update", session_id, {"a": 1})
    session_id = call(module, "rework", session_id)
    (info,) = call(module, "list", "5")
    assert info.expires_at.timestamp() * 1000 == START + 15_000
    at(14_999)
    call(module, "update", session_id, {"a": 2})
    assert call(module, "get", session_id) == {"a": 2}
    at(15_000)
    assert call(module, "get", session_id, None) is None
    assert not call(module, "list", "5")


def test_the_absolute_end_alone_will_do(
    store: dict[str, Any], is_session_crypt: bool, call: Face, at: StopAt
) -> None:
    module = lasting(store, is_session_crypt, session_ttl=None, absolute_ttl=15)
    session_id = call(module, "create", "5", {})
    call(module, "update", session_id, {})
    at(14_999)
    assert call(module, "get", session_id) == {}
    at(15_000)
    assert call(module, "get", session_id, None) is None


@pytest.fixture
def engine(jam_settings: Any) -> Any:
    def set_(**given: Any) -> None:
        jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, **given}

    jam_settings.SESSION_COOKIE_AGE = HOUR // 1000
    return set_


def is_alive(call: Face, key: str | None) -> bool:
    found: bool = call(SessionStore(), "exists", key)
    return found


def test_the_engines_session_ends_with_the_cookie_or_with_session_ttl(
    engine: Any, call: Face, at: StopAt
) -> None:
    store = SessionStore()
    call(store, "update", {"cart": 1})
    call(store, "save")
    at(HOUR - 1)
    assert is_alive(call, store.session_key)
    at(HOUR)
    assert not is_alive(call, store.session_key)
    engine(SESSION_TTL=10)
    at(0)
    store = SessionStore()
    call(store, "update", {"cart": 1})
    call(store, "save")
    at(9_999)
    assert is_alive(call, store.session_key)
    at(10_000)
    assert not is_alive(call, store.session_key)


@pytest.mark.parametrize("is_date", [False, True], ids=["seconds", "date"])
@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({}, 20_000),
        ({"SESSION_TTL": 10}, 10_000),
        ({"SESSION_TTL": 30}, 20_000),
        ({"ABSOLUTE_TTL": 15}, 15_000),
        ({"ABSOLUTE_TTL": 30}, 20_000),
        ({"ABSOLUTE_TTL": 12, "SESSION_TTL": 10}, 10_000),
    ],
    ids=str,
)
def test_the_earliest_end_wins(
    engine: Any, call: Face, at: StopAt, given: dict[str, int], end: int, is_date: bool
) -> None:
    engine(**given)
    store = SessionStore()
    call(store, "update", {"_auth_user_id": "5"})
    # A date is compared with the application's clock, which goes on.
    call(store, "set_expiry", timezone.now() + timedelta(seconds=20) if is_date else 20)
    call(store, "save")
    at(end - 1 - 1000 * is_date)
    assert is_alive(call, store.session_key)
    at(end)
    assert not is_alive(call, store.session_key)


def test_absolute_ttl_counts_from_the_first_sign_in(engine: Any, call: Face, at: StopAt) -> None:
    """It says nothing of anonymous sessions, and who signs in once more wins no time."""
    engine(ABSOLUTE_TTL=15)
    store = SessionStore()
    call(store, "update", {"cart": 1})
    call(store, "save")
    at(20_000)
    assert is_alive(call, store.session_key)
    store = SessionStore(store.session_key)
    call(store, "update", {"_auth_user_id": "5"})
    call(store, "save")
    at(30_000)
    call(store, "cycle_key")
    call(store, "update", {"_auth_user_id": "5"})
    call(store, "save")
    at(34_999)
    assert is_alive(call, store.session_key)
    at(35_000)
    assert not is_alive(call, store.session_key)


def test_application_clocks_an_hour_off_change_nothing_on_redis(
    redis_uri: str, prefix: str, clock: Any
) -> None:
    """The server's clock is the only one that is asked."""
    store: dict[str, Any] = {"redis_uri": redis_uri, "sessions_path": prefix, "session_ttl": 60}
    for hours in (-1, 1):
        clock(hours * 3600)
        ahead = SessionModule("redis", absolute_ttl=120, **store)  # learns the server's time
        session_id = ahead.sync.create("5", {})
        clock(-hours * 3600)
        here = SessionModule("redis", **store)
        assert here.sync.get(session_id) == {}
        (info,) = here.sync.list("5")
        assert info.expires_at is not None
        left = info.expires_at.timestamp() - time.time()
        assert 50 < left <= 60
        here.sync.clear("5")


def test_the_settings_are_the_engines_and_the_modules(engine: Any) -> None:
    engine(ABSOLUTE_TTL=15, MAX_SESSIONS_PER_KEY=3, LIMIT_POLICY="refuse")
    policy = sessions.operations.policy
    assert policy == (15_000, 3, False)
    assert configured.engine().operations.policy is policy


def test_another_owner_is_no_other_sign_in(engine: Any, call: Face, at: StopAt) -> None:
    """The setting's key may follow what a user chooses; the end counts from who signed in."""
    engine(ABSOLUTE_TTL=10, SESSION_KEY=lambda data: data.get("team"))
    store = SessionStore()
    store.update({"_auth_user_id": "5", "team": "A"})
    call(store, "save")
    at(9_000)
    store = SessionStore(store.session_key)
    call(store, "load")
    store["team"] = "B"
    call(store, "save")
    at(9_999)
    assert is_alive(call, store.session_key)
    at(10_000)
    assert not is_alive(call, store.session_key)


def test_a_sign_in_under_the_same_owner_counts_anew(engine: Any, call: Face, at: StopAt) -> None:
    """The setting's key may be a device's, whose sessions are nobody's at first."""
    engine(ABSOLUTE_TTL=10, SESSION_KEY=lambda data: data.get("device"))
    store = SessionStore()
    store["device"] = "D"
    call(store, "save")
    at(9_000)
    store = SessionStore(before := store.session_key)
    call(store, "load")
    store["_auth_user_id"] = "5"
    told = store.session_key
    call(store, "save")
    assert told == store.session_key != before
    at(18_999)
    assert is_alive(call, told)
    at(19_000)
    assert not is_alive(call, told)
