"""What receivers are told of sessions, blocking and awaited alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from django_jam_sessions import SessionModule, codec, sessions
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.signals import session_created, session_ended, session_reworked

from .conftest import Face

NAMES = {"created": session_created, "reworked": session_reworked, "ended": session_ended}


@pytest.fixture
def told() -> Iterator[list[tuple[Any, ...]]]:
    """(name, session key, handle, what else there is), in the order of their sending."""
    found: list[tuple[Any, ...]] = []
    receivers = []
    for name, signal in NAMES.items():

        def receive(name: str = name, **details: Any) -> None:
            more = {k: v for k, v in details.items() if k in ("reason", "old_handle")}
            found.append((name, details["session_key"], details["handle"], *more.values()))

        receivers.append(receive)
        signal.connect(receive)
    yield found
    for signal, receive in zip(NAMES.values(), receivers, strict=True):
        signal.disconnect(receive)


def handle(session_id: str | None) -> str:
    place = codec.place_of(session_id)
    assert place is not None
    return codec.handle_of(place.locator, place.field)


def test_a_modules_sessions(module: SessionModule, call: Face, told: list[Any]) -> None:
    old = call(module, "create", "5", {})
    new = call(module, "rework", old)
    call(module, "delete", new)
    other = call(module, "create", "5", {})
    call(module, "end", "5", handle(other))
    last = call(module, "create", "5", {})
    call(module, "clear_others", last)
    call(module, "clear", "5")
    assert told == [
        ("created", "5", handle(old)),
        ("reworked", "5", handle(new), handle(old)),
        ("ended", "5", handle(new), "logout"),
        ("created", "5", handle(other)),
        ("ended", "5", handle(other), "revoked"),
        ("created", "5", handle(last)),
        ("ended", "5", None, "cleared"),
        ("ended", "5", None, "cleared"),
    ]


def test_clearing_by_the_command_is_told(jam_settings: Any, told: list[Any]) -> None:
    sessions.sync.create("5", {})
    told.clear()
    call_command("clearsessions_by_key", "5", verbosity=0)
    assert told == [("ended", "5", None, "cleared")]


def test_purge_tells_of_what_it_removed(
    store: dict[str, Any], is_session_crypt: bool, call: Face, told: list[Any]
) -> None:
    module = SessionModule(is_session_crypt=is_session_crypt, **store)
    short = SessionModule(is_session_crypt=is_session_crypt, session_ttl=0.001, **store)
    call(module, "create", "5", {})
    # An insert may sweep what has expired before it: the last one is nobody's to sweep.
    dead = [call(short, "create", "5", {}) for _ in range(5)][-1]
    time.sleep(0.003)
    told.clear()
    assert call(module, "purge") == len(told) > 0
    assert ("ended", "5", handle(dead), "expired") in told


def test_a_session_that_another_one_ends_is_told_under_its_own_key(
    jam_settings: Any, call: Face, told: list[Any]
) -> None:
    ids = []
    for key in ("5", "6"):
        store = SessionStore()
        call(store, "update", {"_auth_user_id": key})
        call(store, "save")
        ids.append(store.session_key)
    told.clear()
    call(store, "delete", ids[0])
    call(store, "delete")
    assert told == [
        ("ended", "5", handle(ids[0]), "logout"),
        ("ended", "6", handle(ids[1]), "logout"),
    ]


def test_the_engines_sessions(jam_settings: Any, call: Face, told: list[Any]) -> None:
    store = SessionStore()
    call(store, "update", {"cart": 1})
    call(store, "save")
    anonymous = store.session_key
    call(store, "update", {"_auth_user_id": "5"})
    call(store, "save")
    first = store.session_key
    call(store, "cycle_key")
    second = store.session_key
    call(store, "update", {"_auth_user_id": "6"})
    call(store, "save")
    third = store.session_key
    call(store, "flush")
    assert told == [
        ("created", None, handle(anonymous)),
        ("created", "5", handle(first)),
        ("reworked", "5", handle(second), handle(first)),
        ("ended", "5", handle(second), "logout"),
        ("created", "6", handle(third)),
        ("ended", "6", handle(third), "logout"),
    ]


def test_a_session_that_is_somebodys_at_once(
    jam_settings: Any, call: Face, told: list[Any]
) -> None:
    store = SessionStore()
    call(store, "update", {"_auth_user_id": "5"})
    call(store, "save")
    assert told == [("created", "5", handle(store.session_key))]


def test_the_end_of_anothers_session_names_its_owner(
    jam_settings: Any, call: Face, told: list[Any]
) -> None:
    store = SessionStore()
    call(store, "update", {"_auth_user_id": "5"})
    call(store, "save")
    told.clear()
    call(SessionStore(), "delete", store.session_key)
    assert told == [("ended", "5", handle(store.session_key), "logout")]


def test_the_owner_is_who_the_settings_say_it_is(
    jam_settings: Any, call: Face, told: list[Any]
) -> None:
    by_team = {"SESSION_KEY": lambda data: data.get("team")}
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, **by_team}
    store = SessionStore()
    store.update({"team": "9", "_auth_user_id": "5"})
    call(store, "save")
    old = handle(store.session_key)
    call(store, "cycle_key")
    assert told == [("created", "9", old), ("reworked", "9", handle(store.session_key), old)]


def test_what_was_not_there_is_not_told(jam_settings: Any, call: Face, told: list[Any]) -> None:
    call(SessionStore("0" * 40), "delete")
    call(SessionStore(), "delete", "no id")
    assert told == []


def test_a_receiver_that_raises_harms_nobody(
    module: SessionModule, call: Face, told: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def receive(**details: Any) -> None:
        raise RuntimeError("a receiver's own problem")

    session_created.connect(receive)
    try:
        session_id = call(module, "create", "5", {"a": 1})
    finally:
        session_created.disconnect(receive)
    assert call(module, "get", session_id) == {"a": 1}
    assert "a receiver's own problem" in caplog.text


# A new password


@pytest.fixture
def ada(db: None) -> User:
    return get_user_model().objects.create_user("ada", password="old")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.django_db
def test_a_new_password_ends_every_session(
    jam_settings: Any, ada: Any, django_capture_on_commit_callbacks: Any
) -> None:
    signed_in(ada)
    signed_in(ada)
    with django_capture_on_commit_callbacks(execute=True):
        ada.set_password("new")
        ada.save()
    assert sessions.sync.count(str(ada.pk)) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["first_name", "upgrade", "off"])
def test_other_changes_end_none(
    jam_settings: Any, ada: Any, settings: Any, django_capture_on_commit_callbacks: Any, change: str
) -> None:
    if change == "off":
        settings.JAM_SESSIONS = {
            **settings.JAM_SESSIONS,
            "END_OTHERS_ON_PASSWORD_CHANGE": False,
        }
    signed_in(ada)
    with django_capture_on_commit_callbacks(execute=True):
        if change == "upgrade":  # of the hash: the password is the same
            settings.PASSWORD_HASHERS = [
                "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
                *settings.PASSWORD_HASHERS,
            ]
            assert ada.check_password("old")
            assert ada.password.startswith("pbkdf2_sha1$")
        elif change == "off":
            ada.set_password("new")
            ada.save()
        else:
            ada.first_name = "Ada"
            ada.save()
    assert sessions.sync.count(str(ada.pk)) == 1


@pytest.mark.django_db(transaction=True)
def test_who_changes_the_password_stays_signed_in(jam_settings: Any, ada: Any) -> None:
    here, elsewhere = signed_in(ada), signed_in(ada)
    form = {"old_password": "old", "new_password1": "Gruezi 71", "new_password2": "Gruezi 71"}
    assert here.post("/accounts/password_change/", form).status_code == 302
    assert sessions.sync.count(str(ada.pk)) == 1
    assert here.get("/").context["user"] == ada
    assert not elsewhere.get("/").context["user"].is_authenticated
