"""The API: a user's own sessions, and SessionModule for those who have the permission."""

from __future__ import annotations

import datetime
import logging
from typing import Any
from urllib.parse import quote

import pytest

from django_jam_sessions import SessionNotFoundError, sessions

from .api_site import Caller, make_user, use

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("jam_settings")]


@pytest.fixture(autouse=True)
def site(settings: Any, jam_settings: Any) -> None:
    use(settings)


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def service(is_async: bool) -> Caller:
    return Caller(is_async, make_user("service", "add", "view", "change", "delete"))


# Own sessions


def test_a_user_sees_their_own_sessions(is_async: bool) -> None:
    ada, grace = make_user("ada"), make_user("grace")
    laptop, phone = Caller(is_async, ada), Caller(is_async, ada)
    Caller(is_async, grace)
    seen = laptop.own()
    assert sorted(each["is_current"] for each in seen) == [False, True]
    assert {each["handle"] for each in seen} == {
        each.handle for each in sessions.sync.list(str(ada.pk))
    }
    (here,) = (each for each in seen if each["is_current"])
    (there,) = (each for each in phone.own() if each["is_current"])
    assert here["handle"] != there["handle"]
    created, seen_at, expires = (
        datetime.datetime.fromisoformat(here[name].replace("Z", "+00:00"))
        for name in ("created_at", "last_seen_at", "expires_at")
    )
    assert created <= seen_at < expires
    assert created.utcoffset() == datetime.timedelta(0)


def test_a_user_sees_where_sessions_are_used(is_async: bool) -> None:
    ada = Caller(is_async, make_user("ada"))
    (seen,) = ada.own()
    assert (seen["device"], seen["ip"]) == ("", "")
    firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
    ada.client.logout()
    body = b"username=ada&password=x"
    media = "application/x-www-form-urlencoded"
    ada.ask("POST", "/accounts/login/", body, content_type=media, headers={"User-Agent": firefox})
    (seen,) = ada.own()
    assert (seen["device"], seen["ip"]) == ("Firefox on Windows", "127.0.0.1")


def test_a_user_ends_one_session(is_async: bool) -> None:
    ada = make_user("ada")
    laptop, phone = Caller(is_async, ada), Caller(is_async, ada)
    (handle,) = (each["handle"] for each in laptop.own() if not each["is_current"])
    assert laptop("DELETE", "sessions/%s/" % handle).status_code == 204
    assert phone("GET", "sessions/").status_code == 401
    assert len(laptop.own()) == 1
    assert laptop("DELETE", "sessions/%s/" % handle).status_code == 404


def test_who_ends_this_session_is_signed_out(is_async: bool) -> None:
    ada = make_user("ada")
    laptop, phone = Caller(is_async, ada), Caller(is_async, ada)
    (handle,) = (each["handle"] for each in laptop.own() if each["is_current"])
    assert laptop("DELETE", "sessions/%s/" % handle).cookies["sessionid"]["max-age"] == 0
    assert laptop("GET", "sessions/").status_code == 401
    assert len(phone.own()) == 1


def test_a_user_ends_all_others(is_async: bool) -> None:
    ada = make_user("ada")
    laptop, phone = Caller(is_async, ada), Caller(is_async, ada)
    assert laptop("DELETE", "sessions/others/").status_code == 204
    assert phone("GET", "sessions/").status_code == 401
    assert [each["is_current"] for each in laptop.own()] == [True]


def test_a_user_ends_all(is_async: bool) -> None:
    ada, grace = make_user("ada"), make_user("grace")
    laptop, phone, other = (Caller(is_async, user) for user in (ada, ada, grace))
    assert laptop("DELETE", "sessions/").cookies["sessionid"]["max-age"] == 0
    assert phone("GET", "sessions/").status_code == 401
    assert laptop("DELETE", "sessions/").status_code == 401
    assert len(other.own()) == 1


def test_the_session_of_another_user_is_not_found(is_async: bool) -> None:
    ada, grace = Caller(is_async, make_user("ada")), Caller(is_async, make_user("grace"))
    (theirs,) = grace.own()
    assert ada("DELETE", "sessions/%s/" % theirs["handle"]).status_code == 404
    assert len(grace.own()) == 1


def test_own_sessions_come_in_pages(is_async: bool) -> None:
    ada = make_user("ada")
    for _ in range(7):
        sessions.sync.create(str(ada.pk), {})
    caller, found, cursor = Caller(is_async, ada), [], ""
    while cursor is not None:
        page = caller("GET", "sessions/?limit=3" + (cursor and "&cursor=" + quote(cursor))).json()
        assert len(page["sessions"]) <= 8
        found += [each["handle"] for each in page["sessions"]]
        cursor = page["next"]
    assert len(set(found)) == 8


def test_the_function_of_the_settings_says_which_are_own(is_async: bool, settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": "tests.test_api.tenant"}
    ada = Caller(is_async, make_user("ada"))
    elsewhere = sessions.sync.create("another", {})
    sessions.sync.create("the tenant", {})
    assert len(ada.own()) == 2
    assert ada("DELETE", "sessions/others/").status_code == 204
    assert len(ada.own()) == 1
    assert sessions.sync.get(elsewhere) == {}


def tenant(data: dict[str, Any]) -> str | None:
    return "the tenant" if "_auth_user_id" in data else None


def test_a_session_of_nobody_has_no_others(is_async: bool, settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": "tests.test_api.nobody"}
    ada = make_user("ada")
    laptop, phone = Caller(is_async, ada), Caller(is_async, ada)
    (here,), (there,) = laptop.own(), phone.own()
    assert here["is_current"]
    assert here["handle"] != there["handle"]
    assert laptop("DELETE", "sessions/%s/" % there["handle"]).status_code == 404
    assert laptop("DELETE", "sessions/others/").status_code == 204
    assert laptop("DELETE", "sessions/").status_code == 204
    assert laptop("GET", "sessions/").status_code == 401
    assert phone.own() == [there]


def nobody(data: dict[str, Any]) -> None:
    return None


def test_a_stolen_cookie_signs_nobody_else_out(is_async: bool, settings: Any, clock: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "REAUTHENTICATE": 60}
    ada = make_user("ada")
    laptop, phone, third = (Caller(is_async, ada) for _ in range(3))
    (there,) = (each["handle"] for each in phone.own() if each["is_current"])
    assert laptop("DELETE", "sessions/%s/" % there).status_code == 204
    clock(61)
    (here,) = (each["handle"] for each in laptop.own() if each["is_current"])
    (there,) = (each["handle"] for each in laptop.own() if not each["is_current"])
    for url in ("sessions/", "sessions/others/", "sessions/%s/" % there):
        answer = laptop("DELETE", url)
        assert (answer.status_code, "password" in answer.json()["detail"]) == (403, True)
    assert len(third.own()) == 2
    assert laptop("DELETE", "sessions/%s/" % here).status_code == 204
    assert len(third.own()) == 1


# SessionModule


def test_a_service_keeps_sessions(service: Caller) -> None:
    created = service("POST", "store/", {"session_key": "17", "data": {"a": [1, "é", None]}})
    assert (created.status_code, set(created.json())) == (201, {"session_id"})
    first = created.json()["session_id"]
    assert service("GET", "store/", session_id=first).json() == {"data": {"a": [1, "é", None]}}
    assert service("PUT", "store/", {"data": {"b": {}}}, session_id=first).status_code == 204
    second = service("POST", "store/rework/", session_id=first).json()["session_id"]
    assert second != first
    assert service("GET", "store/", session_id=first).status_code == 404
    assert service("GET", "store/", session_id=second).json() == {"data": {"b": {}}}
    assert service("DELETE", "store/", session_id=second).status_code == 204
    for method, url in (("GET", "store/"), ("DELETE", "store/"), ("POST", "store/rework/")):
        assert service(method, url, session_id=second).status_code == 404
    assert service("PUT", "store/", {"data": {}}, session_id=second).status_code == 404


KEYS = ["a/b", "/", "//", "a\nb\r", "Zoë 雪", "?#%&+;=", "..", "a/../b", "\0", "x" * 255]


def test_any_session_key_may_be_in_a_url(service: Caller) -> None:
    for key in KEYS:
        url = "store/keys/%s/" % quote(key, safe="")
        assert service("GET", url).json() == {"sessions": [], "next": None}
        assert service("DELETE", url).status_code == 404
        session_id = sessions.sync.create(key, {})
        (info,) = sessions.sync.list(key)
        (shown,) = service("GET", url).json()["sessions"]
        assert shown["handle"] == info.handle
        assert "is_current" not in shown
        assert service("DELETE", url).status_code == 204
        assert sessions.sync.get(session_id, None) is None


def test_ending_a_key_ends_the_sessions_of_the_engine(service: Caller, is_async: bool) -> None:
    ada = make_user("ada")
    browser = Caller(is_async, ada)
    assert service("DELETE", "store/keys/%s/" % ada.pk).status_code == 204
    assert browser("GET", "sessions/").status_code == 401


def test_the_session_of_a_login_is_not_found(service: Caller, is_async: bool) -> None:
    browser = Caller(is_async, make_user("ada"))
    for method, url, body in (
        ("GET", "store/", b""),
        ("PUT", "store/", {"data": {"is_admin": True}}),
        ("DELETE", "store/", b""),
        ("POST", "store/rework/", b""),
    ):
        assert service(method, url, body, session_id=browser.id).status_code == 404
    assert len(browser.own()) == 1


def test_what_is_no_id_is_not_found(service: Caller) -> None:
    for text in ("", "short", "0" * 40, "../../etc/passwd", "x" * 9000, "é", "a,b"):
        assert service("GET", "store/", session_id=text).status_code == 404
        assert service("PUT", "store/", {"data": {}}, session_id=text).status_code == 404
        assert service("POST", "store/rework/", session_id=text).status_code == 404
        assert service("DELETE", "store/", session_id=text).status_code == 404


def test_no_handle_is_an_id(service: Caller) -> None:
    sessions.sync.create("17", {})
    (info,) = sessions.sync.list("17")
    assert service("GET", "store/", session_id=info.handle).status_code == 404


def test_data_over_the_limit_is_not_stored(service: Caller, settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "MAX_DATA_BYTES": 50}
    small, large = {"a": "x" * 42}, {"a": "x" * 43}  # and eight bytes of JSON around
    created = service("POST", "store/", {"session_key": "17", "data": small})
    session_id = created.json()["session_id"]
    for answer in (
        service("POST", "store/", {"session_key": "17", "data": large}),
        service("PUT", "store/", {"data": large}, session_id=session_id),
    ):
        assert answer.status_code == 413
        assert "51 bytes" in answer.json()["detail"]
        assert "50" in answer.json()["detail"]
    assert sessions.sync.get(session_id) == small
    assert sessions.sync.count("17") == 1


def test_no_id_is_logged(service: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = service("POST", "store/", {"session_key": "17", "data": {}})
    session_id = answer.json()["session_id"]
    service("GET", "store/", session_id=session_id)
    new_id = service("POST", "store/rework/", session_id=session_id).json()["session_id"]
    gone = service("GET", "store/", session_id=session_id)
    service("PATCH", "store/", session_id=session_id)
    assert service.own()
    with pytest.raises(SessionNotFoundError):
        sessions.sync.get(session_id)
    for secret in (session_id, new_id, service.id):
        assert secret not in caplog.text
        assert secret not in gone.content.decode()
