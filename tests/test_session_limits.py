"""MAX_SESSIONS_PER_KEY: who signs in once too often ends the oldest, or is refused."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import UpdateError
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.test import AsyncClient, Client, override_settings

from django_jam_sessions import JamSessionsError, SessionLimitReached, SessionModule, sessions
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from .clocks import StopAt, stop_at
from .conftest import Face
from .test_expiry import START
from .test_signals import handle, told

__all__ = ["stop_at", "told"]

A, B = b"a" * 32, b"b" * 32


def limited(store: dict[str, Any], is_session_crypt: bool, **given: Any) -> SessionModule:
    options = {"max_sessions_per_key": 3, **given}
    return SessionModule(is_session_crypt=is_session_crypt, **store, **options)


def ids(call: Face, module: SessionModule, key: str, number: int) -> list[str]:
    return [call(module, "create", key, {"n": n}) for n in range(number)]


def alive(call: Face, module: SessionModule, ids: list[str]) -> list[bool]:
    return [call(module, "get", each, None) is not None for each in ids]


def test_the_oldest_goes(
    store: dict[str, Any], is_session_crypt: bool, call: Face, told: list[Any], stop_at: StopAt
) -> None:
    module = limited(store, is_session_crypt)
    made = []
    for milliseconds in range(3):
        stop_at(START + milliseconds)
        made += ids(call, module, "5", 1)
        call(module, "update", made[0], {})  # use makes nobody younger
    told.clear()
    made.append(call(module, "create", "5", {}))
    assert told == [
        ("ended", "5", handle(made[0]), "limit"),
        (
            "created",
            "5",
            handle(made[3]),
        ),
    ]
    assert alive(call, module, made) == [False, True, True, True]
    assert call(module, "count", "5") == 3
    assert ids(call, module, "6", 3)


def test_the_new_one_is_refused(
    store: dict[str, Any], is_session_crypt: bool, call: Face, caplog: pytest.LogCaptureFixture
) -> None:
    module = limited(store, is_session_crypt, limit_policy="refuse")
    made = ids(call, module, "5", 3)
    with pytest.raises(SessionLimitReached) as raised:
        call(module, "create", "5", {})
    assert isinstance(raised.value, PermissionDenied)
    assert isinstance(raised.value, JamSessionsError)
    (record,) = [each for each in caplog.records if each.name == "django_jam_sessions.audit"]
    assert (record.levelno, record.__dict__["event"]) == (logging.WARNING, "refused")
    assert alive(call, module, made) == [True] * 3
    call(module, "delete", made[0])
    assert call(module, "create", "5", {})


def test_a_new_id_is_no_new_session(
    store: dict[str, Any], is_session_crypt: bool, call: Face
) -> None:
    module = limited(store, is_session_crypt, limit_policy="refuse")
    made = ids(call, module, "5", 3)
    new = [call(module, "rework", each) for each in made]
    assert alive(call, module, new) == [True] * 3


def test_a_lower_limit_ends_as_many_as_it_takes(
    store: dict[str, Any], is_session_crypt: bool, call: Face
) -> None:
    ids(call, SessionModule(is_session_crypt=is_session_crypt, **store), "5", 7)
    module = limited(store, is_session_crypt)
    last = call(module, "create", "5", {})
    assert call(module, "count", "5") == 3
    assert call(module, "get", last) == {}


def test_a_function_says_how_many(
    store: dict[str, Any], is_session_crypt: bool, call: Face
) -> None:
    numbers = {"staff": 1, "guest": None, "wrong": 0}
    module = limited(store, is_session_crypt, max_sessions_per_key=numbers.get)
    for key, number in (("staff", 1), ("guest", 4)):
        ids(call, module, key, 4)
        assert call(module, "count", key) == number
    with pytest.raises(ImproperlyConfigured):
        call(module, "create", "wrong", {})


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
def test_what_older_secrets_seal_counts(store: dict[str, Any], call: Face, policy: str) -> None:
    old = SessionModule(is_session_crypt=True, session_aes_secret=A, **store)
    made = ids(call, old, "5", 2)
    both = limited(store, True, session_aes_secret=[B, A], limit_policy=policy)
    made.append(call(both, "create", "5", {}))
    assert alive(call, both, made) == [True] * 3
    if policy == "refuse":
        with pytest.raises(SessionLimitReached):
            call(both, "create", "5", {})
        assert alive(call, both, made) == [True] * 3
        return
    made += ids(call, both, "5", 2)
    assert alive(call, both, made) == [False, False, True, True, True]
    made += ids(call, both, "5", 1)
    assert call(both, "count", "5") == 3


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
def test_500_sign_ins_at_once_never_exceed_it(jam_settings: Any, policy: str) -> None:
    jam_settings.JAM_SESSIONS = {
        **jam_settings.JAM_SESSIONS,
        "MAX_SESSIONS_PER_KEY": 5,
        "LIMIT_POLICY": policy,
    }
    module = sessions.current()  # type: ignore[attr-defined]
    most, is_over, refused = 0, threading.Event(), 0

    def watch() -> None:
        nonlocal most
        while not is_over.is_set():
            most = max(most, module.sync.count("5"))

    async def sign_in() -> None:
        nonlocal refused
        store = SessionStore()
        await store.aset("cart", 1)
        await store.asave()
        await store.aset("_auth_user_id", "5")
        try:
            await store.asave()
        except SessionLimitReached:
            refused += 1

    async def all_at_once() -> None:
        await asyncio.gather(*(sign_in() for _ in range(500)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        asyncio.run(all_at_once())
    finally:
        is_over.set()
        watcher.join()
    assert most <= 5
    assert module.sync.count("5") == 5
    assert refused == (495 if policy == "refuse" else 0)


@pytest.fixture
def refusing(jam_settings: Any) -> None:
    jam_settings.JAM_SESSIONS = {
        **jam_settings.JAM_SESSIONS,
        "MAX_SESSIONS_PER_KEY": 1,
        "LIMIT_POLICY": "refuse",
    }


@pytest.mark.usefixtures("refusing")
def test_who_is_refused_after_a_clear_loses_nothing_that_others_wrote(call: Face) -> None:
    call(sessions.current(), "create", "5", {})  # type: ignore[attr-defined]
    other = SessionStore()
    call(other, "update", {"cart": [1]})
    call(other, "save")
    store = SessionStore(other.session_key)
    store.clear()
    call(store, "update", {"_auth_user_id": "5"})
    with pytest.raises(SessionLimitReached):
        call(store, "save")
    call(other, "update", {"theirs": 1})
    call(other, "save")
    call(store, "update", {"mine": 1})
    call(store, "save")
    found = call(SessionStore(store.session_key), "items")
    assert dict(found) == {"cart": [1], "theirs": 1, "mine": 1}


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("data", [{"cart": [1]}, {}, None], ids=["full", "empty", "none"])
def test_who_is_refused_has_the_data_of_before(call: Face, data: dict[str, Any] | None) -> None:
    """None: nothing of that session was stored yet, so no cookie is to be set for it."""
    call(sessions.current(), "create", "5", {})  # type: ignore[attr-defined]
    store = SessionStore()
    if data is not None:
        call(store, "update", data)
        call(store, "save")
    key = store.session_key
    call(store, "update", {"_auth_user_id": "5"})
    with pytest.raises(SessionLimitReached):
        call(store, "save")
    assert dict(call(store, "items")) == (data or {})
    assert store.session_key == key
    assert store.modified is (data is not None)
    call(store, "save")
    assert dict(call(SessionStore(store.session_key), "items")) == (data or {})


@pytest.mark.usefixtures("refusing")
def test_who_is_refused_after_a_clear_has_what_is_stored(call: Face) -> None:
    """Though nobody had looked at it."""
    call(sessions.current(), "create", "5", {})  # type: ignore[attr-defined]
    anonymous = SessionStore()
    call(anonymous, "update", {"cart": [1]})
    call(anonymous, "save")
    store = SessionStore(anonymous.session_key)
    store.clear()
    call(store, "update", {"_auth_user_id": "5"})
    with pytest.raises(SessionLimitReached):
        call(store, "save")
    assert dict(call(store, "items")) == {"cart": [1]}
    assert store.session_key == anonymous.session_key


@pytest.mark.django_db
@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
@override_settings(ROOT_URLCONF="testproject.urls")
def test_who_is_refused_stays_anonymous(is_async: bool) -> None:
    ada = get_user_model().objects.create_user("ada", password="ada's")
    client: Any = AsyncClient() if is_async else Client()

    def call(method: str, *args: Any) -> Any:
        function = getattr(client, method)
        return async_to_sync(function)(*args) if is_async else function(*args)

    sessions.sync.create(str(ada.pk), {})
    call("get", "/accounts/login/")
    form = {"username": "ada", "password": "ada's"}
    for _ in range(2):
        response = call("post", "/accounts/login/", form)
        assert response.status_code == 403
        assert "sessionid" in client.cookies
        store = SessionStore(client.cookies["sessionid"].value)
        assert "_auth_user_id" not in store.load()
        assert store.session_key is not None
    assert sessions.sync.count(str(ada.pk)) == 1
    sessions.sync.clear(str(ada.pk))
    assert call("post", "/accounts/login/", form).status_code == 302
    assert sessions.sync.count(str(ada.pk)) == 1


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
def test_who_leaves_a_key_and_comes_back_before_the_next_request_counts_once(
    jam_settings: Any, policy: str
) -> None:
    jam_settings.JAM_SESSIONS = {
        **jam_settings.JAM_SESSIONS,
        "MAX_SESSIONS_PER_KEY": 2,
        "LIMIT_POLICY": policy,
    }
    stores = [SessionStore(), SessionStore()]
    for store in stores:
        store["_auth_user_id"] = "5"
        store.save()
    again = SessionStore(stores[1].session_key)
    del again["_auth_user_id"]
    again.save()
    assert again.info is not None
    created_at = again.info.created_at
    again = SessionStore(again.session_key)
    again["_auth_user_id"] = "5"
    again.save()
    assert again.info is not None
    assert again.info.created_at == created_at
    assert [SessionStore().exists(each.session_key) for each in (stores[0], again)] == [True, True]


@pytest.mark.parametrize("is_rotated", [False, True], ids=["one secret", "older secret"])
def test_nobody_gives_way_to_a_session_that_was_ended_meanwhile(
    jam_settings: Any, call: Face, told: list[Any], is_rotated: bool
) -> None:
    options = {**jam_settings.JAM_SESSIONS, "MAX_SESSIONS_PER_KEY": 1}
    if is_rotated:
        options.update({"IS_SESSION_CRYPT": True, "SESSION_AES_SECRET": A})
    jam_settings.JAM_SESSIONS = options
    held, late = SessionStore(), SessionStore()
    held["_auth_user_id"] = "5"
    call(held, "save")
    if is_rotated:
        jam_settings.JAM_SESSIONS = {**options, "SESSION_AES_SECRET": [B, A]}
        late = SessionStore()
    late["_auth_user_id"] = "6"
    call(late, "save")
    call(configured.current(), "clear", "6")
    late["_auth_user_id"] = "5"
    with pytest.raises(UpdateError):
        call(late, "save")
    assert call(SessionStore(), "exists", held.session_key)
    assert ("ended", "5") not in [each[:2] for each in told]


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
def test_a_new_id_after_a_rotation_is_no_new_session(
    jam_settings: Any, call: Face, policy: str
) -> None:
    options = {
        **jam_settings.JAM_SESSIONS,
        "IS_SESSION_CRYPT": True,
        "MAX_SESSIONS_PER_KEY": 2,
        "LIMIT_POLICY": policy,
    }
    jam_settings.JAM_SESSIONS = {**options, "SESSION_AES_SECRET": A}
    signed_in = [signed_in_store(call).session_key for _ in range(2)]
    jam_settings.JAM_SESSIONS = {**options, "SESSION_AES_SECRET": [B, A]}
    first, second = map(SessionStore, signed_in)
    call(first, "cycle_key")
    for each in (first, second):
        assert call(SessionStore(), "exists", each.session_key)


@pytest.mark.parametrize("has_others", [False, True], ids=["alone", "beside others"])
def test_who_signs_in_after_a_rotation_ends_the_oldest(
    jam_settings: Any, call: Face, told: list[Any], has_others: bool
) -> None:
    options = {**jam_settings.JAM_SESSIONS, "IS_SESSION_CRYPT": True, "MAX_SESSIONS_PER_KEY": 2}
    jam_settings.JAM_SESSIONS = {**options, "SESSION_AES_SECRET": A}
    elders = created(2)
    jam_settings.JAM_SESSIONS = {**options, "SESSION_AES_SECRET": [B, A]}
    store = SessionStore()
    store["cart"] = 1
    call(store, "save")
    expected = {"cart": 1, "_auth_user_id": "5"}
    if has_others:  # who write to the session before it is somebody's
        other = SessionStore(store.session_key)
        other["theirs"] = 1
        call(other, "save")
        expected["theirs"] = 1
    store["_auth_user_id"] = "5"
    call(store, "save")
    assert [each for each in told if each[0] == "ended"] == [
        ("ended", "5", handle(elders[0]), "limit")
    ]
    assert alive(call, configured.current(), elders) == [False, True]
    assert call(SessionStore(store.session_key), "load") == expected


def signed_in_store(call: Face) -> SessionStore:
    store = SessionStore()
    store["_auth_user_id"] = "5"
    call(store, "save")
    return store


def created(number: int) -> list[str]:
    found = []
    for _ in range(number):
        found.append(sessions.sync.create("5", {}))
        time.sleep(0.002)  # they are as old as their milliseconds say
    return found


@pytest.mark.parametrize("number", [1, 4], ids=["one", "too many"])
def test_who_signs_in_beside_others_ends_the_oldest_under_an_older_secret_first(
    jam_settings: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The others come between the look at what is held, and the write."""
    options = {**jam_settings.JAM_SESSIONS, "IS_SESSION_CRYPT": True, "MAX_SESSIONS_PER_KEY": 3}
    jam_settings.JAM_SESSIONS = {**options, "SESSION_AES_SECRET": A}
    elders = created(2)
    jam_settings.JAM_SESSIONS = {**options, "SESSION_AES_SECRET": [B, A]}
    backend = configured.current().backend
    insert = backend.insert
    others: list[str] = []

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(backend, "insert", insert)
        others.extend(created(number))
        return insert(*arguments)

    monkeypatch.setattr(backend, "insert", meanwhile)
    others.append(sessions.sync.create("5", {}))
    expected = [*elders, *others][-3:]
    assert [each for each in (*elders, *others) if sessions.sync.get(each, None) == {}] == expected


def test_a_sign_in_over_the_limit_tells_whose_oldest_session_it_ended(
    jam_settings: Any, call: Face, told: list[Any]
) -> None:
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "MAX_SESSIONS_PER_KEY": 1}
    held, late = SessionStore(), SessionStore()
    held["_auth_user_id"] = "5"
    late["cart"] = 1
    for store in (held, late):
        call(store, "save")
    told.clear()
    late["_auth_user_id"] = "5"
    call(late, "save")
    assert told[0] == ("ended", "5", handle(held.session_key or ""), "limit")
    assert not call(SessionStore(), "exists", held.session_key)
    assert call(SessionStore(), "exists", late.session_key)
