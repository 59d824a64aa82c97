"""manage.py jam_secrets, and the three steps of a rotation: add, wait, remove."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.core.management import CommandError

from django_jam_sessions import SessionStoreUnavailable, sessions
from django_jam_sessions.backends.base import Backend
from django_jam_sessions.configured import configured
from django_jam_sessions.sealing import Secret, parse_secrets

from .test_commands import run

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def secrets(settings: Any, store: dict[str, Any]) -> Any:
    def set_(*secrets: Any) -> None:
        settings.JAM_SESSIONS = {
            **{name.upper(): value for name, value in store.items()},
            "IS_SESSION_CRYPT": bool(secrets),
            "SESSION_AES_SECRET": secrets or None,
        }

    return set_


def lines() -> dict[str, tuple[int, str]]:
    """By public id: the number of sessions, and what is said of the secret."""
    found = {}
    for line in run("jam_secrets").splitlines():
        secret_id, count, meaning = line.split(maxsplit=2)
        found[secret_id] = int(count), meaning
    return found


def name(secret: bytes) -> str:
    return Secret(secret).id.hex()


def test_a_rotation_ends_nothing_before_the_old_secret_goes(secrets: Any) -> None:
    secrets(A)
    assert lines() == {name(A): (0, "seals new sessions")}
    old = [sessions.sync.create("5", {}), sessions.sync.create("6", {})]
    secrets(B, A)
    new = sessions.sync.create("5", {})
    assert lines() == {
        name(B): (1, "seals new sessions"),
        name(A): (2, "opens older sessions"),
    }
    old[0] = sessions.sync.rework(old[0])  # as each sign-in does
    assert lines()[name(A)][0] == 1
    secrets(B)
    assert lines() == {
        name(B): (2, "seals new sessions"),
        name(A): (1, "ended: no secret of the settings opens them"),
    }
    alive = [sessions.sync.get(each, None) is not None for each in (*old, new)]
    assert alive == [True, False, True]


def test_plain_sessions_are_counted_too(secrets: Any) -> None:
    secrets()
    sessions.sync.create("5", {})
    assert lines() == {"00000000": (1, "not encrypted")}
    secrets(A)
    assert lines()["00000000"] == (1, "not encrypted, and ended: IS_SESSION_CRYPT is on")


def test_all_of_many_are_counted(secrets: Any) -> None:
    secrets(A)
    for number in range(40):
        sessions.sync.create(str(number % 7), {})
    assert lines() == {name(A): (40, "seals new sessions")}


def test_a_new_secret_is_one_that_the_setting_takes() -> None:
    first, second = run("jam_secrets", "--new").strip(), run("jam_secrets", "--new").strip()
    assert first != second
    assert len(parse_secrets("%s,%s" % (first, second))) == 2


def test_a_store_that_is_out_is_an_error_of_the_command(
    secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(self: Backend, *args: Any) -> None:
        raise SessionStoreUnavailable("It is out.")

    secrets(A)
    monkeypatch.setattr(type(configured.current().backend), "scan", scan)
    with pytest.raises(CommandError, match="out"):
        run("jam_secrets")


def test_no_secret_is_shown(secrets: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets(A)
    sessions.sync.create("5", {})
    assert A.decode() not in run("jam_secrets") + caplog.text
