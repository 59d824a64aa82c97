"""REAUTHENTICATE: the password is asked for again before sessions are ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from django_jam_sessions import sessions
from django_jam_sessions.engine import SessionStore

from .browsing import PASSWORD, SAFARI, Browser, Outline
from .test_pages import HANDLE, LIST, handles, is_signed_in, text_of

pytestmark = pytest.mark.django_db

SECONDS = 300
MODEL = "django.contrib.auth.backends.ModelBackend"
ACTIONS = {"end-others/": "End all other sessions", "end-all/": "End all sessions"}
WHAT = {
    "end-others/": "All your sessions but this one will be ended.",
    "end-all/": "All your sessions will be ended, this one too. You will have to sign in again.",
}


@pytest.fixture
def reauthenticating(settings: Any, tmp_path: Path) -> Any:
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "sessions", "REAUTHENTICATE": SECONDS}
    return settings


@pytest.fixture
def ada(db: None) -> Any:
    return get_user_model().objects.create_user("ada", password=PASSWORD)


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def pair(
    request: pytest.FixtureRequest, reauthenticating: Any, ada: Any, clock: Callable[[float], None]
) -> tuple[Browser, Browser]:
    """Two browsers of one user, who signed in with the first too long ago."""
    first = Browser(request.param).sign_in(ada)
    clock(SECONDS)
    return first, Browser(request.param, SAFARI, "192.0.2.7").sign_in(ada)


@pytest.fixture
def failures() -> Iterator[list[str]]:
    """The user names of failed sign-ins, as signals tell of them."""
    found: list[str] = []

    def receive(credentials: dict[str, str], **kwargs: Any) -> None:
        found.append(credentials["username"])

    user_login_failed.connect(receive)
    yield found
    user_login_failed.disconnect(receive)


def one(browser: Browser) -> str:
    (handle,) = handles(browser)
    return handle + "/end/"


@pytest.mark.parametrize("action", ["one", *ACTIONS])
def test_the_password_is_asked_for_and_what_was_asked_is_done(
    pair: tuple[Browser, Browser], action: str
) -> None:
    here, there = pair
    path = LIST + (one(here) if action == "one" else action)
    response = here.post(path)
    outline = Outline(text_of(response))
    assert (
        outline.words("h1") == outline.words("button") == [ACTIONS.get(action, "End the session")]
    )
    assert outline.words("label") == ["Password:"]
    assert outline.words("p")[0] == WHAT.get(action, "The following session will be ended:")
    assert outline.words("h2") == (["Mobile Safari on iOS"] if action == "one" else [])
    assert outline.words("dd")[:1] == (["192.0.2.7"] if action == "one" else [])
    assert "no-store" in response.headers["Cache-Control"]
    assert is_signed_in(there)
    assert here.post(path, {"password": PASSWORD}).status_code == 302
    assert [is_signed_in(here), is_signed_in(there)] == [action != "end-all/", False]


def test_the_question_shows_nobody_elses_session(pair: tuple[Browser, Browser]) -> None:
    here, there = pair
    grace = get_user_model().objects.create_user("grace", password=PASSWORD)
    stranger, handle = Browser(here.is_async).sign_in(grace), one(here)
    Browser(here.is_async).sign_in(grace)
    assert here.post(LIST + one(stranger)).status_code == 404
    there.post("/accounts/logout/")
    assert here.post(LIST + handle).status_code == 404


def test_another_password_ends_nothing_and_counts_as_a_failure(
    pair: tuple[Browser, Browser], failures: list[str]
) -> None:
    here, there = pair
    for wrong in ("wrong", "", " " + PASSWORD, "%s\0" % PASSWORD):
        page = text_of(here.post(LIST + "end-others/", {"password": wrong}))
        assert wrong == "" or wrong not in page
        (field,) = [each for each in Outline(page).named("input") if each["type"] == "password"]
        assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "id_password_error")
        assert (field["autocomplete"], field.get("value")) == ("current-password", None)
    assert is_signed_in(there)
    assert failures == ["ada", "ada"]  # the others are no passwords at all


class ByPasswordAlone(ModelBackend):
    def authenticate(self, *args: Any, **credentials: Any) -> Any:
        found = get_user_model().objects.all()
        return next((user for user in found if user.check_password(credentials["password"])), None)


@pytest.mark.parametrize("first", [MODEL, "tests.test_reauthentication.ByPasswordAlone"])
def test_nobody_elses_password_will_do(
    pair: tuple[Browser, Browser], reauthenticating: Any, first: str
) -> None:
    reauthenticating.AUTHENTICATION_BACKENDS = [first, MODEL]
    get_user_model().objects.create_user("grace", password="another")
    here, there = pair
    here.post(LIST + "end-others/", {"password": "another", "username": "grace"})
    assert is_signed_in(there)


def test_it_is_asked_for_once_in_a_while(
    pair: tuple[Browser, Browser], ada: Any, clock: Callable[[float], None]
) -> None:
    here, _ = pair
    assert here.post(LIST + "end-others/", {"password": PASSWORD}).status_code == 302
    clock(SECONDS - 30)
    assert here.post(LIST + "end-others/").status_code == 302
    clock(31)
    assert here.post(LIST + "end-others/").status_code == 200


def test_the_password_gives_the_session_a_new_id(pair: tuple[Browser, Browser], ada: Any) -> None:
    here, there = pair
    old = here.session_id
    here.post(LIST + "end-others/", {"password": "wrong"})
    assert here.session_id == old
    here.post(LIST + one(here), {"password": PASSWORD})
    assert here.session_id != old
    assert sessions.sync.count(str(ada.pk)) == 1
    assert not SessionStore().exists(old)
    assert [is_signed_in(here), is_signed_in(there)] == [True, False]


def test_a_recent_sign_in_will_do_but_not_one_elsewhere(pair: tuple[Browser, Browser]) -> None:
    here, there = pair
    assert here.post(LIST + "end-others/").status_code == 200
    assert there.post(LIST + "end-others/").status_code == 302
    assert [is_signed_in(here), is_signed_in(there)] == [False, True]


def test_to_look_and_to_sign_out_no_password_is_needed(pair: tuple[Browser, Browser]) -> None:
    here, there = pair
    page = text_of(here.get(LIST))
    assert HANDLE.search(page)
    assert here.post(LIST + one(there)).status_code == 302
    assert [is_signed_in(here), is_signed_in(there)] == [False, True]


def test_a_session_from_before_the_setting_is_asked(reauthenticating: Any, ada: Any) -> None:
    before = reauthenticating.JAM_SESSIONS
    reauthenticating.JAM_SESSIONS = {"JSON_PATH": before["JSON_PATH"]}
    browser = Browser(False).sign_in(ada)
    assert browser.post(LIST + "end-others/").status_code == 302
    reauthenticating.JAM_SESSIONS = before
    assert browser.post(LIST + "end-others/").status_code == 200


class Locking(ModelBackend):
    """Has authenticate() alone, as what locks accounts may."""

    def authenticate(self, *args: Any, **credentials: Any) -> Any:
        raise PermissionDenied


def test_a_locked_account_stays_locked(
    pair: tuple[Browser, Browser], reauthenticating: Any
) -> None:
    here, there = pair
    reauthenticating.AUTHENTICATION_BACKENDS = ["tests.test_reauthentication.Locking", MODEL]
    assert here.post(LIST + "end-others/", {"password": PASSWORD}).status_code == 200
    assert [is_signed_in(here), is_signed_in(there)] == [True, True]


@pytest.mark.parametrize("request_", [None, RequestFactory().get("/")])
def test_a_sign_in_without_a_session_is_left_alone(
    reauthenticating: Any, ada: Any, request_: Any
) -> None:
    user_logged_in.send(sender=type(ada), request=request_, user=ada)
    assert sessions.sync.count(str(ada.pk)) == 0


def test_a_token_for_another_user_confirms_nothing(pair: tuple[Browser, Browser], ada: Any) -> None:
    """Who has taken somebody's cookie may have an account, and ask for a token of its own."""
    here, _ = pair
    thief = get_user_model().objects.create_user("mallory", password=PASSWORD)
    request = RequestFactory().get("/")
    request.session = SessionStore(here.session_id)
    user_logged_in.send(sender=type(thief), request=request, user=thief)
    assert not request.session.modified
    user_logged_in.send(sender=type(ada), request=request, user=ada)
    assert request.session.modified


def test_a_time_to_come_confirms_nothing(pair: tuple[Browser, Browser], clock: Any) -> None:
    """The clock was set back since."""
    _, there = pair
    clock(-SECONDS - 2)
    assert there.post(LIST + "end-others/").status_code == 200
