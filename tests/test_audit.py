"""The audit log: what happened to which session, and from which one it was done."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from django_jam_sessions import SessionModule, codec, sessions

from .conftest import Face
from .test_signals import handle

LOGGER = "django_jam_sessions.audit"


@pytest.fixture
def noted(caplog: pytest.LogCaptureFixture) -> Any:
    """(event, handle, reason, by) of each line since the last call."""
    caplog.set_level(logging.INFO, LOGGER)

    def take() -> list[tuple[str, str, str, str]]:
        found = [each for each in caplog.records if each.name == LOGGER]
        details = [each.__dict__ for each in found]
        for each in found:
            assert each.__dict__["handle"] in each.getMessage()
        caplog.clear()
        return [(each["event"], each["handle"], each["reason"], each["by"]) for each in details]

    return take


def test_a_modules_sessions_are_noted_by_nobody(
    module: SessionModule, call: Face, noted: Any
) -> None:
    old = call(module, "create", "5", {})
    new = call(module, "rework", old)
    call(module, "delete", new)
    one = call(module, "create", "5", {})
    call(module, "end", "5", handle(one))
    other = call(module, "create", "5", {})
    call(module, "clear", "5")
    locator = handle(other).partition(".")[0]
    assert noted() == [
        ("created", handle(old), "", ""),
        ("reworked", handle(new), "from %s" % handle(old), ""),
        ("ended", handle(new), "logout", ""),
        ("created", handle(one), "", ""),
        ("ended", handle(one), "revoked", ""),
        ("created", handle(other), "", ""),
        ("ended", locator, "cleared", ""),
    ]


@pytest.mark.django_db
def test_what_a_request_does_is_noted_with_its_session(jam_settings: Any, noted: Any) -> None:
    jam_settings.ROOT_URLCONF = "tests.pages_urls"
    ada = get_user_model().objects.create_user("ada", password="ada's")
    here, there = Client(), Client()
    for client in (here, there):
        client.force_login(ada)
    mine, other = (handle(client.cookies["sessionid"].value) for client in (here, there))
    noted()
    (info,) = [each for each in sessions.sync.list(str(ada.pk)) if each.handle == other]
    response = here.delete("/sessions/api/sessions/%s/" % info.handle)
    assert response.status_code == 204
    assert noted() == [("ended", other, "revoked", mine)]


def test_an_anonymous_session_is_noted(jam_settings: Any, call: Face, noted: Any) -> None:
    from django_jam_sessions.engine import SessionStore

    store = SessionStore()
    call(store, "update", {"cart": 1})
    call(store, "save")
    assert noted() == [("created", handle(store.session_key), "", "")]
    assert codec.place_of_handle(store.handle) is not None


def test_who_does_not_listen_pays_nothing(
    module: SessionModule, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    module.sync.create("5", {})
    assert not [each for each in caplog.records if each.name == LOGGER]
