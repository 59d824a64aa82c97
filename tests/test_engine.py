"""The engine: what it keeps of Django's contract, and what it adds to it."""

from __future__ import annotations

import asyncio
import pickle
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.utils import timezone

from django_jam_sessions import SessionStoreUnavailable, sessions
from django_jam_sessions.codec import ENGINE
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.steps import run

from .conftest import Face

pytestmark = pytest.mark.usefixtures("jam_settings")

USER = "_auth_user_id"
INTERRUPTED = r"^The session was ended before it got its new key\.$"
CONFLICT = r"^Others kept writing to this session\.$"


@pytest.fixture
def saved(call: Face) -> Any:
    """Stores data and returns its key."""

    def save(**data: Any) -> str:
        store = SessionStore()
        call(store, "update", data)
        call(store, "save")
        return str(store.session_key)

    return save


def loaded(call: Face, key: str | None) -> dict[str, Any]:
    return dict(call(SessionStore(key), "items"))


def opened(call: Face, key: str | None) -> SessionStore:
    """A store that has read its session, as a request in flight has."""
    store = SessionStore(key)
    call(store, "get", "x")
    return store


def put(call: Face, store: SessionStore, **data: Any) -> None:
    """On both faces: aset() does not call __setitem__()."""
    call(store, "update", data)


def test_a_key_fits_what_others_made_for_djangos(saved: Any) -> None:
    key = saved(a=1)
    assert len(key) == 40
    assert key.isalnum()
    assert key == key.lower()


def test_a_key_is_absent_until_something_is_stored(call: Face) -> None:
    store = SessionStore()
    assert store.session_key is None
    put(call, store, a=1)
    assert store.session_key is None
    call(store, "save")
    assert loaded(call, store.session_key) == {"a": 1}


def test_create_stores_what_is_there(call: Face) -> None:
    store = SessionStore()
    call(store, "create")
    first = store.session_key
    put(call, store, a=1)
    call(store, "create")  # another one: the first stays
    assert loaded(call, store.session_key) == {"a": 1}
    assert call(SessionStore(), "exists", first)


@pytest.mark.parametrize(("key", "is_kept"), [("x" * 7, False), ("x" * 8, True), ("", False)])
def test_a_key_is_kept_as_django_keeps_it(key: str, is_kept: bool) -> None:
    assert SessionStore(key).session_key == (key if is_kept else None)


def test_an_unknown_key_is_never_adopted(call: Face) -> None:
    for must_create in (False, True):
        store = SessionStore("0" * 40)
        put(call, store, a=1)
        call(store, "save", must_create)
        assert store.session_key not in (None, "0" * 40)
        assert loaded(call, "0" * 40) == {}
        assert loaded(call, store.session_key) == {"a": 1}


def test_save_of_an_unknown_key_that_was_never_read_is_refused(call: Face) -> None:
    with pytest.raises(UpdateError):
        call(SessionStore("0" * 40), "save")


def test_must_create_refuses_a_session_that_exists(call: Face, saved: Any) -> None:
    with pytest.raises(CreateError):
        call(opened(call, saved(a=1)), "save", must_create=True)


def test_the_engine_and_a_module_do_not_see_each_others(call: Face, saved: Any) -> None:
    key = saved(**{USER: "5"})
    assert call(configured.current(), "get", key, None) is None
    session_id = call(configured.current(), "create", "5", {"a": 1})
    assert loaded(call, session_id) == {}
    assert call(SessionStore(), "exists", session_id) is False
    call(SessionStore(), "delete", session_id)
    assert call(configured.current(), "get", session_id) == {"a": 1}
    assert call(configured.current(), "count", "5") == 2
    call(configured.current(), "clear_others", key)  # yet they are sessions of one key
    assert call(configured.current(), "count", "5") == 1
    assert loaded(call, key) == {USER: "5"}


# The owner and the id


def test_the_key_of_a_login_is_final_before_it_is_stored(call: Face) -> None:
    store = SessionStore()
    put(call, store, **{USER: "5"})
    key = store.session_key
    assert key is not None
    assert store.session_key == key
    call(store, "save")
    assert store.session_key == key
    assert call(configured.current(), "count", "5") == 1


def test_an_anonymous_session_moves_to_its_owner(call: Face, saved: Any) -> None:
    anonymous = saved(cart=[1])
    store = opened(call, anonymous)
    put(call, store, **{USER: "5"})
    key = store.session_key
    assert key != anonymous
    call(store, "save")
    assert store.session_key == key
    assert loaded(call, key) == {"cart": [1], USER: "5"}
    assert loaded(call, anonymous) == {}
    assert call(configured.current(), "count", "5") == 1


def test_an_owner_changed_in_place_moves_the_session(call: Face, saved: Any) -> None:
    """Impersonation: the session is listed under, and cleared with, whose it is now."""
    old = saved(**{USER: "5"})
    store = opened(call, old)
    put(call, store, **{USER: "7"})
    call(store, "save")
    module = configured.current()
    assert (call(module, "count", "5"), call(module, "count", "7")) == (0, 1)
    assert loaded(call, old) == {}
    assert loaded(call, store.session_key) == {USER: "7"}


def test_an_owner_taken_back_before_the_save_changes_nothing(call: Face, saved: Any) -> None:
    key = saved(**{USER: "5"})
    store = opened(call, key)
    put(call, store, **{USER: "7"})
    assert store.session_key != key
    put(call, store, **{USER: "5"})
    assert store.session_key == key
    call(store, "save")
    assert loaded(call, key) == {USER: "5"}


def test_a_removed_owner_leaves_the_session_where_it_is(call: Face, saved: Any) -> None:
    key = saved(**{USER: "5"})
    store = opened(call, key)
    call(store, "pop", USER)
    call(store, "save")
    assert store.session_key == key
    assert call(configured.current(), "count", "5") == 1
    again = opened(call, key)
    call(again, "cycle_key")
    assert call(configured.current(), "count", "5") == 0
    assert loaded(call, again.session_key) == {}
    assert again.session_key != key


@pytest.mark.parametrize("owner", ["5", "6"])
def test_the_key_of_data_that_replaces_is_final_too(call: Face, saved: Any, owner: str) -> None:
    key = saved(**{USER: "5"})
    store = SessionStore(key)
    store.clear()
    put(call, store, **{USER: owner})
    told = store.session_key
    assert (told == key) is (owner == "5")
    call(store, "save")
    assert store.session_key == told
    assert loaded(call, told) == {USER: owner}


@pytest.mark.parametrize("change", ["create", "save", "cycle_key"])
def test_who_writes_has_accessed_the_session(call: Face, saved: Any, change: str) -> None:
    """The answer varies by the cookie; and it has one where the id is another."""
    store = SessionStore(saved(a=1))
    call(store, change)
    assert store.accessed is True
    assert store.modified is (change != "save")


def test_two_saves_of_one_store_are_one_session(call: Face) -> None:
    store = SessionStore()
    for number in range(3):
        put(call, store, **{USER: "5", "n": number})
        call(store, "save")
    assert loaded(call, store.session_key) == {USER: "5", "n": 2}
    assert call(configured.current(), "count", "5") == 1


def test_a_function_may_name_the_owner(call: Face, jam_settings: Any) -> None:
    jam_settings.JAM_SESSIONS = {
        **jam_settings.JAM_SESSIONS,
        "SESSION_KEY": lambda data: data.get("tenant"),
    }
    store = SessionStore()
    put(call, store, **{USER: "5", "tenant": 12})
    call(store, "save")
    assert call(configured.current(), "count", "12") == 1
    assert call(configured.current(), "count", "5") == 0


def test_a_function_that_drifts_changes_no_id(call: Face, saved: Any, jam_settings: Any) -> None:
    """The owner is compared with what the same function says of the loaded data."""
    key = saved(**{USER: "5"})
    jam_settings.JAM_SESSIONS = {
        **jam_settings.JAM_SESSIONS,
        "SESSION_KEY": lambda data: "user-" + data[USER],
    }
    again = opened(call, key)
    put(call, again, a=1)
    call(again, "save")
    assert again.session_key == key
    assert loaded(call, key) == {USER: "5", "a": 1}


def test_a_function_that_drifts_under_way_changes_no_id(
    call: Face, saved: Any, jam_settings: Any
) -> None:
    prefix = ["old-"]
    jam_settings.JAM_SESSIONS = {
        **jam_settings.JAM_SESSIONS,
        "SESSION_KEY": lambda data: prefix[0] + data[USER],
    }
    key = saved(**{USER: "5"})
    store = opened(call, key)
    prefix[0] = "new-"
    assert store.session_key == key
    put(call, store, a=1)
    call(store, "save")
    assert loaded(call, key) == {USER: "5", "a": 1}
    put(call, store, **{USER: "6"})  # but another owner moves it
    call(store, "save")
    assert store.session_key != key
    assert not call(SessionStore(), "exists", key)


@pytest.mark.parametrize("owner", ["", "x" * 256, "\ud800"])
def test_an_owner_that_is_no_key_is_an_error_or_nobody(call: Face, owner: str) -> None:
    store = SessionStore()
    put(call, store, **{USER: owner})
    if owner:
        with pytest.raises(ValueError, match="session key"):
            call(store, "save")
    else:
        call(store, "save")
        assert loaded(call, store.session_key) == {USER: ""}


# Clearing, cycling, flushing


def test_clear_replaces_what_others_wrote(call: Face, saved: Any) -> None:
    key = saved(a=1, b=2)
    store, other = opened(call, key), opened(call, key)
    put(call, other, c=3)
    call(other, "save")
    store.clear()
    put(call, store, d=4)
    call(store, "save")
    assert store.session_key == key
    assert loaded(call, key) == {"d": 4}
    put(call, other, e=5)
    call(other, "save")  # and is itself merged with, not overwritten
    assert loaded(call, key) == {"d": 4, "e": 5}


def test_clear_needs_no_look_at_the_data(call: Face, saved: Any) -> None:
    key = saved(**{USER: "5", "a": 1})
    store = SessionStore(key)
    store.clear()
    put(call, store, **{USER: "5"})
    call(store, "save")
    assert store.session_key == key  # the same owner: it stays
    assert loaded(call, key) == {USER: "5"}


def test_clear_and_another_owner_move_the_session(call: Face, saved: Any) -> None:
    key = saved(**{USER: "5"})
    store = SessionStore(key)
    store.clear()
    put(call, store, **{USER: "7"})
    allocated = store.session_key
    call(store, "save")
    assert store.session_key == allocated != key
    assert loaded(call, key) == {}


def test_clear_resurrects_nothing(call: Face, saved: Any) -> None:
    key = saved(a=1)
    store = SessionStore(key)
    store.clear()
    put(call, store, a=2)
    call(SessionStore(), "delete", key)
    with pytest.raises(UpdateError):
        call(store, "save")
    assert loaded(call, key) == {}


def test_cycle_key_keeps_the_data_and_what_others_wrote(call: Face, saved: Any) -> None:
    for owner in ({}, {USER: "5"}):
        old = saved(a=1, **owner)
        store, other = opened(call, old), opened(call, old)
        put(call, other, b=2)
        call(other, "save")
        call(store, "cycle_key")
        assert store.session_key != old
        assert loaded(call, old) == {}
        assert loaded(call, store.session_key) == {"a": 1, "b": 2, **owner}
        assert store.modified


def test_cycle_key_without_a_key_creates(call: Face) -> None:
    store = SessionStore()
    call(store, "cycle_key")
    assert call(store, "exists", store.session_key) is True


def test_cycle_key_of_an_ended_anonymous_session_creates_anew(call: Face, saved: Any) -> None:
    key = saved(a=1)
    store = opened(call, key)
    call(SessionStore(), "delete", key)
    call(store, "cycle_key")
    assert loaded(call, store.session_key) == {"a": 1}


def test_cycle_key_of_an_ended_owned_session_is_interrupted(call: Face, saved: Any) -> None:
    """Else a password change in flight would undo "sign out everywhere"."""
    store = opened(call, saved(**{USER: "5"}))
    call(configured.current(), "clear", "5")
    with pytest.raises(SessionInterrupted, match=INTERRUPTED):
        call(store, "cycle_key")
    assert call(configured.current(), "count", "5") == 0


def test_flush_ends_the_session_and_forgets_it(call: Face, saved: Any) -> None:
    key = saved(**{USER: "5"})
    store = opened(call, key)
    call(store, "flush")
    assert store.flushed is True  # the middleware asks
    assert store.session_key is None
    assert store.is_empty()
    assert loaded(call, key) == {}
    put(call, store, **{USER: "6"})
    assert store.session_key not in (None, key)
    call(store, "save")
    assert loaded(call, store.session_key) == {USER: "6"}


def test_flush_ends_what_is_stored_not_what_is_allocated(call: Face, saved: Any) -> None:
    key = saved(**{USER: "5"})
    store = opened(call, key)
    put(call, store, **{USER: "7"})
    call(store, "delete")
    assert loaded(call, key) == {}


# Others


def test_two_requests_that_change_other_keys_both_survive(call: Face, saved: Any) -> None:
    key = saved(a=1, gone=1, nested={"x": 1})
    first, second = opened(call, key), opened(call, key)
    put(call, first, b=2)
    call(first, "pop", "gone")
    call(second, "get", "nested")["y"] = 2
    second.modified = True
    call(first, "save")
    call(second, "save")
    expected = {"a": 1, "b": 2, "nested": {"x": 1, "y": 2}}
    assert loaded(call, key) == expected
    assert dict(call(second, "items")) == expected


def test_for_the_same_key_the_last_one_wins(call: Face, saved: Any) -> None:
    key = saved(a=1)
    first, second = opened(call, key), opened(call, key)
    put(call, first, a=2)
    put(call, second, a=3)
    call(first, "save")
    call(second, "save")
    assert loaded(call, key) == {"a": 3}


def test_a_merge_that_makes_another_owner_moves_there(call: Face, jam_settings: Any) -> None:
    """The owner is computed from the merged data, and so is the id."""
    jam_settings.JAM_SESSIONS = {
        **jam_settings.JAM_SESSIONS,
        "SESSION_KEY": lambda data: "%s:%s" % (data.get("tenant"), data.get("user")),
    }
    store = SessionStore()
    put(call, store, tenant=1, user=1)
    call(store, "save")
    first, second = opened(call, store.session_key), opened(call, store.session_key)
    put(call, first, colour="red")
    call(first, "save")
    put(call, second, tenant=2)
    call(second, "save")
    assert loaded(call, second.session_key) == {"tenant": 2, "user": 1, "colour": "red"}
    assert call(configured.current(), "count", "2:1") == 1
    assert call(configured.current(), "count", "1:1") == 0


def test_a_save_of_unchanged_data_is_a_touch(call: Face, saved: Any) -> None:
    """Another's write survives it, and the session lives on."""
    key = saved(a=1)
    first, second = opened(call, key), opened(call, key)
    put(call, first, a=2)
    call(first, "save")
    call(second, "save")
    assert loaded(call, key) == {"a": 2}


def test_a_value_changed_in_place_is_stored_by_an_explicit_save(call: Face, saved: Any) -> None:
    key = saved(nested={"x": 1})
    store = SessionStore(key)
    call(store, "get", "nested")["x"] = 2
    call(store, "save")
    assert loaded(call, key) == {"nested": {"x": 2}}


def test_a_save_after_the_end_resurrects_nothing(call: Face, saved: Any) -> None:
    for owner in ({}, {USER: "5"}):
        key = saved(a=1, **owner)
        changing, touching, moving = (opened(call, key) for _ in range(3))
        put(call, changing, a=2)
        put(call, moving, **{USER: "7"})
        call(SessionStore(key), "delete")
        for store in (changing, touching, moving):
            with pytest.raises(UpdateError):
                call(store, "save")
        assert loaded(call, key) == {}
        assert call(configured.current(), "count", "7") == 0


def test_a_save_after_delete_by_itself_is_refused(call: Face, saved: Any) -> None:
    store = opened(call, saved(a=1))
    call(store, "delete")
    put(call, store, a=2)
    with pytest.raises(UpdateError):
        call(store, "save")


def test_endless_conflicts_are_an_outage_never_a_lost_write(
    call: Face, saved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = saved(a=1)
    store: Any = opened(call, key)
    put(call, store, a=3)
    module, attempt = configured.current(), store._attempt

    def met_by_another(*args: Any) -> Any:
        run(module.backend, module.operations.overwrite(key, ENGINE, b'{"a":1,"b":2}', None))
        return (yield from attempt(*args))

    monkeypatch.setattr(store, "_attempt", met_by_another)
    monkeypatch.setattr("django_jam_sessions.engine_writes.CONFLICTS_END", 0.05)
    with pytest.raises(SessionStoreUnavailable, match=CONFLICT):
        call(store, "save")
    assert loaded(call, key) == {"a": 1, "b": 2}


def test_after_a_failure_nothing_is_asked_and_the_same_is_said(
    call: Face, saved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SessionStore(saved(a=1))
    asked: list[Any] = []

    def fail(*args: Any) -> Any:
        asked.append(args)
        raise SessionStoreUnavailable("It is away.")

    backend = configured.current().backend
    monkeypatch.setattr(backend, "fetch", fail)
    monkeypatch.setattr(backend, "afetch", fail)
    with pytest.raises(SessionStoreUnavailable) as first:
        call(store, "load")
    with pytest.raises(SessionStoreUnavailable, match=r"^It is away\.$") as second:
        call(store, "load")
    assert second.value is not first.value  # its traceback would grow
    assert second.value.__cause__ is first.value
    assert len(asked) == 1


# Expiry


@pytest.mark.parametrize(
    ("expiry", "seconds"),
    [(None, 1_209_600), (0, 1_209_600), (300, 300), (timedelta(hours=1), 3600), (1.5, 1.5)],
)
def test_a_session_lives_as_long_as_django_says(call: Face, expiry: Any, seconds: float) -> None:
    store = SessionStore()
    put(call, store, **{USER: "5"})
    call(store, "set_expiry", expiry)
    call(store, "save")
    (info,) = call(configured.current(), "list", "5")
    assert abs((info.expires_at - info.last_seen_at).total_seconds() - seconds) <= 1.1


def test_a_date_may_be_the_end(call: Face) -> None:
    end = timezone.now() + timedelta(days=1)
    store = SessionStore()
    put(call, store, **{USER: "5"})
    call(store, "set_expiry", end)
    call(store, "save")
    (info,) = call(configured.current(), "list", "5")
    assert abs(info.expires_at - end) < timedelta(seconds=2)


@pytest.mark.parametrize("expiry", [-1, timedelta(days=-1), timedelta(0)])
def test_what_is_past_is_over_at_once(call: Face, saved: Any, expiry: Any) -> None:
    key = saved(a=1)
    store = opened(call, key)
    call(store, "set_expiry", expiry)
    call(store, "save")
    assert loaded(call, store.session_key) == {}


def test_session_ttl_bounds_djangos_age(call: Face, jam_settings: Any) -> None:
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "SESSION_TTL": 60}
    store = SessionStore()
    put(call, store, **{USER: "5"})
    call(store, "save")
    (info,) = call(configured.current(), "list", "5")
    assert info.expires_at - info.last_seen_at == timedelta(seconds=60)


def test_clear_expired_sweeps_the_store(call: Face, saved: Any) -> None:
    key = saved(a=1)
    call(SessionStore, "clear_expired")
    assert loaded(call, key) == {"a": 1}


# What is not readable, and where


def test_another_serializers_session_is_unusable_and_no_traceback(
    call: Face, saved: Any, jam_settings: Any
) -> None:
    key = saved(a=1)
    jam_settings.SESSION_SERIALIZER = "tests.test_engine.OtherSerializer"
    store = SessionStore(key)
    assert dict(call(store, "items")) == {}
    assert store.session_key is None


class OtherSerializer:
    def dumps(self, data: dict[str, Any]) -> bytes:
        return b"\xff" + repr(data).encode()

    def loads(self, text: bytes) -> dict[str, Any]:
        if text[:1] != b"\xff":
            raise ValueError("not mine")
        result: dict[str, Any] = eval(text[1:])
        return result


def test_any_serializer_of_djangos_setting_will_do(call: Face, jam_settings: Any) -> None:
    jam_settings.SESSION_SERIALIZER = "tests.test_engine.OtherSerializer"
    store = SessionStore()
    put(call, store, a=(1, 2), b={3})
    call(store, "save")
    assert loaded(call, store.session_key) == {"a": (1, 2), "b": {3}}


@pytest.mark.parametrize("protocol", [0, 1, 2, 5])
def test_a_serializer_that_pickles_is_refused(
    jam_settings: Any, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    """Before anything is read: whoever writes the store could run code."""
    monkeypatch.setattr(PickleSerializer, "protocol", protocol)
    jam_settings.SESSION_SERIALIZER = "tests.test_engine.PickleSerializer"
    with pytest.raises(ImproperlyConfigured, match="SESSION_SERIALIZER pickles"):
        SessionStore()


class PickleSerializer:
    """As Django had one, before 5.0."""

    protocol = pickle.HIGHEST_PROTOCOL

    def dumps(self, data: dict[str, Any]) -> bytes:
        return pickle.dumps(data, self.protocol)

    def loads(self, text: bytes) -> dict[str, Any]:
        raise AssertionError("It was read.")


def test_data_that_cannot_be_stored_is_an_error_and_nothing_is(call: Face, saved: Any) -> None:
    key = saved(a=1)
    store = opened(call, key)
    put(call, store, a=object())
    with pytest.raises(TypeError):
        call(store, "save")
    assert loaded(call, key) == {"a": 1}


def test_a_login_that_could_not_be_stored_takes_another_id(call: Face, saved: Any) -> None:
    store = opened(call, saved(a=1))
    put(call, store, **{USER: "5", "b": object()})
    told = store.session_key
    with pytest.raises(TypeError):
        call(store, "save")
    put(call, store, b=2)
    assert store.session_key != told  # it might be stored
    call(store, "save")
    assert loaded(call, store.session_key) == {USER: "5", "a": 1, "b": 2}


def test_blocking_on_an_event_loop_is_refused(saved: Any) -> None:
    key = saved(a=1)

    async def block() -> None:
        store = SessionStore(key)
        for method in ("load", "save", "create", "delete", "cycle_key", "touch", "clear_expired"):
            with pytest.raises(SynchronousOnlyOperation):
                getattr(store, method)()
        with pytest.raises(SynchronousOnlyOperation):
            store.exists(key)

    asyncio.run(block())


def test_an_id_factory_of_the_settings_serves_the_engine(call: Face, jam_settings: Any) -> None:
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "ID_FACTORY": "tests.test_engine.tag"}
    store = SessionStore()
    put(call, store, **{USER: "5"})
    call(store, "save")
    assert "-made-here-" in str(store.session_key)
    assert loaded(call, store.session_key) == {USER: "5"}
    assert "-made-here-" in call(configured.current(), "create", "5", {})


def tag() -> str:
    return "-made-here-"


def test_sessions_is_the_settings_module(call: Face, saved: Any) -> None:
    saved(**{USER: "5"})
    assert sessions.sync.count("5") == 1
