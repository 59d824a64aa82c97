"""The API's refusals: who may do what, forged requests, bodies that are wrong, an outage."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception
from django.urls import resolve
from django.views.debug import ExceptionReporter

from django_jam_sessions import api_urls, sessions
from django_jam_sessions.api.endpoints import PERMISSIONS
from django_jam_sessions.configured import configured

from .api_site import TOKEN, Caller, make_user, use

pytestmark = pytest.mark.django_db

ALL = tuple(PERMISSIONS)
SECRET = TOKEN.encode()


@pytest.fixture(autouse=True)
def site(settings: Any, tmp_path: Path) -> None:
    use(settings)
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "sessions"}


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def service(is_async: bool) -> Caller:
    return Caller(is_async, make_user("service", *ALL))


# Who may do what

OWN = [
    ("GET", "sessions/"),
    ("DELETE", "sessions/"),
    ("DELETE", "sessions/others/"),
    ("DELETE", "sessions/x.y/"),
]
STORE = [
    ("POST", "store/", "add", 201),
    ("GET", "store/", "view", 200),
    ("HEAD", "store/", "view", 200),
    ("PUT", "store/", "change", 204),
    ("POST", "store/rework/", "change", 200),
    ("DELETE", "store/", "delete", 204),
    ("GET", "store/keys/17/", "view", 200),
    ("DELETE", "store/keys/17/", "delete", 204),
]


def body_for(method: str, url: str) -> Any:
    if (method, url) == ("POST", "store/"):
        return {"session_key": "17", "data": {}}
    return {"data": {}} if method == "PUT" else b""


def test_the_lists_here_name_every_url() -> None:
    listed: dict[str, set[str]] = {}
    for method, url in [*OWN, *[each[:2] for each in STORE]]:
        if method != "HEAD":
            listed.setdefault(str(resolve("/api/" + url).url_name), set()).add(method)
    views: dict[str, Any] = {
        str(pattern.name): pattern.callback for pattern in api_urls.urlpatterns if pattern.name
    }
    assert listed == {name: set(view.methods) for name, view in views.items()}


@pytest.mark.parametrize(("method", "url"), [*OWN, *[each[:2] for each in STORE]])
def test_who_is_not_signed_in_is_asked_to(is_async: bool, method: str, url: str) -> None:
    assert Caller(is_async)(method, url, body_for(method, url)).status_code == 401
    forged = Caller(is_async)(method, url, Authorization="Bearer no-such-token")
    assert forged.status_code == 401


@pytest.mark.parametrize("granted", [*ALL, None])
@pytest.mark.parametrize(("method", "url", "needed", "status"), STORE)
def test_each_permission_allows_its_own(
    is_async: bool, method: str, url: str, needed: str, status: int, granted: str | None
) -> None:
    session_id = sessions.sync.create("17", {})
    caller = Caller(is_async, make_user("service", *([granted] if granted else [])))
    answer = caller(method, url, body_for(method, url), session_id=session_id)
    assert answer.status_code == (status if granted == needed else 403)
    if granted != needed and method != "HEAD":
        assert PERMISSIONS[needed] in answer.json()["detail"]
        assert sessions.sync.get(session_id) == {}


def test_an_inactive_user_may_do_nothing(is_async: bool) -> None:
    caller = Caller(is_async, user := make_user("ada", *ALL))
    type(user).objects.filter(pk=user.pk).update(is_active=False)
    assert caller("GET", "sessions/").status_code == 401
    assert caller("GET", "store/", session_id="x").status_code == 401


def test_a_superuser_needs_no_permission(is_async: bool) -> None:
    user = make_user("root")
    user.is_superuser = True
    user.save()
    assert Caller(is_async, user)("GET", "store/keys/17/").status_code == 200


# Forged requests

UNSAFE = [(method, url) for method, url in OWN if method != "GET"] + [
    (method, url) for method, url, *_ in STORE if method not in ("GET", "HEAD")
]


@pytest.mark.parametrize(("method", "url"), UNSAFE)
@pytest.mark.parametrize("is_in_session", [False, True])
def test_a_cookie_alone_changes_nothing(
    settings: Any, is_async: bool, method: str, url: str, is_in_session: bool
) -> None:
    settings.CSRF_USE_SESSIONS = is_in_session
    ada = Caller(is_async, user := make_user("ada", *ALL), enforce_csrf_checks=True)
    answer = ada(method, url, body_for(method, url))
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["detail"]
    assert sessions.sync.count(str(user.pk)) == 1


@pytest.mark.parametrize("has_middleware", [False, True])
def test_a_token_of_djangos_lets_a_browser_in(
    settings: Any, is_async: bool, has_middleware: bool
) -> None:
    if not has_middleware:
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    ada = Caller(is_async, make_user("ada"), enforce_csrf_checks=True)
    ada.client.cookies["csrftoken"] = "t" * 32
    assert ada("DELETE", "sessions/others/").status_code == 403
    assert ada("DELETE", "sessions/others/", X_CSRFToken="u" * 32).status_code == 403
    forged = ada("DELETE", "sessions/others/", X_CSRFToken="t" * 32, Origin="https://evil.example")
    assert forged.status_code == 403
    assert ada("DELETE", "sessions/others/", X_CSRFToken="t" * 32).status_code == 204


def test_the_documented_middleware_lets_a_service_in(is_async: bool) -> None:
    user = make_user("billing", *ALL)
    service = Caller(is_async, enforce_csrf_checks=True)
    token = "Bearer %s" % TOKEN
    body = {"session_key": "17", "data": {}}
    assert service("POST", "store/", body, Authorization=token).status_code == 201
    assert service("DELETE", "store/keys/17/", Authorization=token).status_code == 204
    assert service("GET", "sessions/", Authorization=token).status_code == 401
    user.is_active = False
    user.save()
    assert service("GET", "store/keys/17/", Authorization=token).status_code == 401


def test_a_token_does_not_speak_for_the_session_of_another(is_async: bool) -> None:
    make_user("billing")
    ada = Caller(is_async, make_user("ada"), enforce_csrf_checks=True)
    answer = ada("DELETE", "sessions/", Authorization="Bearer %s" % TOKEN)
    assert answer.status_code == 401
    assert len(ada.own()) == 1


# What is wrong with a request

DEEP = b'{"session_key": "17", "data": {"a": %s1%s}}'


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b" ", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b"{", "no JSON"),
        (b"nothing", "no JSON"),
        (b"[]", "must be a JSON object"),
        (b"5", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{}", "session_key is missing"),
        (b'{"session_key": "17"}', "data is missing"),
        ({"session_key": "17", "data": {}, "colour": 1}, "other fields than session_key, data"),
        ({"session_key": 17, "data": {}}, "must be a str"),
        ({"session_key": None, "data": {}}, "must be a str"),
        ({"session_key": "", "data": {}}, "1 to 255"),
        ({"session_key": "x" * 256, "data": {}}, "1 to 255"),
        ({"session_key": "\ud800", "data": {}}, "surrogates"),
        ({"session_key": "17", "data": []}, "data must be a JSON object"),
        ({"session_key": "17", "data": None}, "data must be a JSON object"),
        ({"session_key": "17", "data": {"a": math.nan}}, "NaN"),
        ({"session_key": "17", "data": {"a": -math.inf}}, "-Infinity"),
        (b'{"session_key": "17", "data": {"a": 1e999}}', "too large"),
        (b'{"session_key": "17", "data": {"a": %s}}' % (b"9" * 5000), "no JSON"),
        (DEEP % (b"[" * 99, b"]" * 99), "100 levels"),
        (DEEP % (b"[" * 100_000, b"]" * 100_000), "deep"),
        (DEEP % (b'{"a":' * 100_000, b"}" * 100_000), "deep"),
    ],
)
def test_a_wrong_body_is_refused(service: Caller, body: Any, detail: str) -> None:
    answer = service("POST", "store/", body)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]
    with pytest.raises(LookupError):
        sessions.sync.clear("17")


def test_what_is_not_too_deep_comes_back(service: Caller) -> None:
    body = DEEP % (b"[" * 98, b"]" * 98)
    session_id = service("POST", "store/", body).json()["session_id"]
    answer = service("GET", "store/", session_id=session_id)
    assert answer.json()["data"] == json.loads(body)["data"]


def test_data_comes_back_as_it_was(service: Caller) -> None:
    data: dict[str, Any] = {
        "": None,
        "_x": [True, -0.5, 10**30, "\0\ud800\u2028</script>"],
        "é": {"data": {}},
    }
    session_id = service("POST", "store/", {"session_key": "17", "data": data}).json()["session_id"]
    assert service("GET", "store/", session_id=session_id).json() == {"data": data}


@pytest.mark.parametrize("body", [b"{}", {"session_key": "17", "data": {}}, {"data": "x"}])
def test_a_wrong_update_is_refused(service: Caller, body: Any) -> None:
    assert service("PUT", "store/", body, session_id="x").status_code == 400


def test_without_the_header_there_is_no_session_to_speak_of(service: Caller) -> None:
    for method, url in (("GET", "store/"), ("DELETE", "store/"), ("POST", "store/rework/")):
        answer = service(method, url)
        assert (answer.status_code, "Session-Id" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=²", "limit=99999999"),
        *("cursor=", "cursor=x", "cursor=9.", "cursor=-1", "cursor=%00", "cursor=" + "0" * 100),
    ],
)
def test_a_wrong_query_is_refused(service: Caller, jam_settings: Any, query: str) -> None:
    caller = Caller(service.is_async, make_user("ada", "view"))
    for url in ("sessions/", "store/keys/17/"):
        assert caller("GET", "%s?%s" % (url, query)).status_code == 400


def test_a_session_key_that_is_too_long_is_refused(service: Caller) -> None:
    assert service("GET", "store/keys/%s/" % ("x" * 256)).status_code == 400
    assert service("DELETE", "store/keys/%s/" % ("x" * 256)).status_code == 400


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_media_type_is_refused(service: Caller, media: str) -> None:
    for method in ("POST", "PUT"):
        answer = service(method, "store/", b"{}", Content_Type=media, session_id="x")
        assert answer.status_code == 415


def test_a_torn_form_is_refused(is_async: bool) -> None:
    """Django's CSRF check looks for its token in forms, and so reads them."""
    ada = Caller(is_async, make_user("ada", *ALL), enforce_csrf_checks=True)
    ada.client.cookies["csrftoken"] = "t" * 32
    assert ada("POST", "store/", b"x", Content_Type="multipart/form-data").status_code == 400


def test_a_body_over_djangos_limit_is_refused(service: Caller, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = service("POST", "store/", {"session_key": "17", "data": {"a": "x" * 100}})
    assert answer.status_code == 413


async def chunked(url: str, *chunks: bytes) -> int:
    """The status of the answer to a service that does not say how much it sends."""
    kind, token = (b"content-type", b"application/json"), (b"authorization", b"Bearer " + SECRET)
    headers = [(b"host", b"testserver"), kind, token]
    scope = {"type": "http", "method": "POST", "path": url, "headers": headers}
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    left.append({"type": "http.request"})
    sent: list[Any] = []

    async def receive() -> Any:
        return left.pop(0) if left else await asyncio.Event().wait()  # nobody hangs up

    async def send(message: Any) -> None:
        sent.append(message)

    await ASGIHandler()(scope, receive, send)
    return int(sent[0]["status"])


def test_a_body_that_does_not_say_its_length_is_bounded_too(settings: Any) -> None:
    """Django sees to it since 5.2.13 and 6.0.4 (CVE-2026-33034)."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    make_user("billing", *ALL)
    for size, status in ((10, 201), (100, 413)):
        body = b'{"session_key": "17", "data": {"a": "%s"}}' % (b"x" * size)
        assert async_to_sync(chunked)("/api/store/", body[:30], body[30:]) == status


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("PATCH", "store/", "DELETE, GET, HEAD, POST, PUT"),
        ("GET", "store/rework/", "POST"),
        ("POST", "sessions/", "DELETE, GET, HEAD"),
        ("OPTIONS", "sessions/others/", "DELETE"),
        ("PROPFIND", "store/keys/17/", "DELETE, GET, HEAD"),
    ],
)
def test_another_method_is_refused(service: Caller, method: str, url: str, allowed: str) -> None:
    answer = service(method, url)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("url", ["", "store", "sessions/a/b/", "store/keys//", "\n/"])
def test_what_is_no_url_is_not_found(service: Caller, url: str) -> None:
    for method in ("GET", "DELETE"):
        assert service(method, url).status_code == 404


# An outage, and a fault


@pytest.fixture
def outage(settings: Any) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": "redis://127.0.0.1:1/0"}


@pytest.mark.usefixtures("outage")
@pytest.mark.parametrize(("method", "url"), [*OWN, *[each[:2] for each in STORE]])
def test_an_outage_is_no_logout(is_async: bool, method: str, url: str) -> None:
    make_user("billing", *ALL)
    browser, service = Caller(is_async), Caller(is_async)
    browser.client.cookies["sessionid"] = "0" * 40
    answer = browser(method, url, body_for(method, url))
    assert answer.status_code == 503
    assert "sessionid" not in answer.cookies
    if url.startswith("store"):
        token = {"Authorization": "Bearer %s" % TOKEN, "session_id": "0" * 40}
        assert service(method, url, body_for(method, url), **token).status_code == 503


@pytest.fixture
def report() -> Iterator[list[str]]:
    """What Django mails to the site's admins."""
    found: list[str] = []

    def on_exception(request: Any, **kwargs: Any) -> None:
        # In a thread of its own, under ASGI. To look the user up, the report would open a
        # connection to the database there, which nobody closes.
        request.user = "service"
        reporter = ExceptionReporter(request, *sys.exc_info())
        found.append(reporter.get_traceback_text())

    got_request_exception.connect(on_exception)
    yield found
    got_request_exception.disconnect(on_exception)


def test_the_report_of_a_fault_shows_no_id(
    service: Caller, monkeypatch: pytest.MonkeyPatch, report: list[str]
) -> None:
    session_id = sessions.sync.create("17", {})
    monkeypatch.setattr(configured.current().operations, "delete", None)
    with pytest.raises(TypeError):
        service("DELETE", "store/", session_id=session_id)
    assert "TypeError" in report[0]
    assert "REQUEST_METHOD" in report[0]
    assert session_id not in report[0]
