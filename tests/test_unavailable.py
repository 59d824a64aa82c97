"""Where the store fails the answer is 503, wherever it was met, and the cookie stays."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils import translation
from django.views import View

from django_jam_sessions import SessionStoreUnavailable, sessions, unavailable
from django_jam_sessions.engine import SessionStore

COOKIE = "s" * 40
CALLS = "django_jam_sessions.middleware.SessionMiddleware"


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


async def auntouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


def reads(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.session.get("x"))


async def areads(request: HttpRequest) -> HttpResponse:
    return HttpResponse(await request.session.aget("x"))


def writes(request: HttpRequest) -> HttpResponse:
    request.session = SessionStore()  # nothing to load: the save is what fails
    request.session["x"] = 1
    return HttpResponse("kept", status=int(request.GET.get("status", "200")))


async def awrites(request: HttpRequest) -> HttpResponse:
    return writes(request)


def lazily(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, template("{{ request.session.x }}"), {})


def eagerly(request: HttpRequest) -> HttpResponse:
    return HttpResponse(template("{{ request.user.pk }}").render({}, request))


def hides(request: HttpRequest) -> HttpResponse:
    """A template that asks, and would go on as if nobody was signed in."""
    text = "{% if not request.user.is_authenticated or x %}sign in{% endif %}"
    return HttpResponse(template(text).render({}, request))


def template(text: str) -> Any:
    return engines["django"].from_string(text)


def lists(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(sessions.sync.list("5")))


async def alists(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await sessions.list("5")))


async def groups(request: HttpRequest) -> HttpResponse:
    if not hasattr(asyncio, "TaskGroup"):  # Python 3.10
        return await alists(request)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sessions.count("5"))
        tasks.create_task(sessions.count("6"))
    return HttpResponse("counted")


class Permitted(PermissionRequiredMixin, View):
    permission_required = "auth.add_user"


def signs_out(request: HttpRequest) -> HttpResponse:
    request.session._session_cache = {"_auth_user_id": "5"}  # type: ignore[attr-defined]
    request.session.flush()
    return HttpResponse("signed out")


async def asigns_out(request: HttpRequest) -> HttpResponse:
    request.session._session_cache = {"_auth_user_id": "5"}  # type: ignore[attr-defined]
    await request.session.aflush()
    return HttpResponse("signed out")


def catches(request: HttpRequest) -> HttpResponse:
    try:
        request.session.get("x")
    except SessionStoreUnavailable:
        return HttpResponse("my own", status=int(request.GET.get("status", "200")))
    return HttpResponse("no outage")


def catches_and_hides(request: HttpRequest) -> HttpResponse:
    catches(request)
    return hides(request)


def hides_and_catches(request: HttpRequest) -> HttpResponse:
    response = hides(request)
    catches(request)
    return response


def pretends(request: HttpRequest) -> HttpResponse:
    """Catches it, but has changed the session."""
    request.session._session_cache = {}  # type: ignore[attr-defined]
    request.session["x"] = 1
    try:
        request.session.save()
    except SessionStoreUnavailable:
        return HttpResponse("kept", status=int(request.GET.get("status", "200")))
    return HttpResponse("no outage")


def denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def broken(request: HttpRequest) -> HttpResponse:
    raise ValueError("not the store's fault")


FAILING: dict[str, Any] = {
    "reads": reads,
    "areads": areads,
    "writes": writes,
    "awrites": awrites,
    "lazily": lazily,
    "eagerly": eagerly,
    "hides": hides,
    "catches-and-hides": catches_and_hides,
    "hides-and-catches": hides_and_catches,
    "lists": lists,
    "alists": alists,
    "groups": groups,
    "permitted": Permitted.as_view(),
    "signs-out": signs_out,
    "asigns-out": asigns_out,
    "pretends": pretends,
}
FINE: dict[str, Any] = {"untouched": untouched, "auntouched": auntouched, "catches": catches}
OTHERS: dict[str, Any] = {"denied": denied, "broken": broken}
urlpatterns = [path(name, view) for name, view in {**FAILING, **FINE, **OTHERS}.items()]


# Middlewares that meet the failure, and pages for errors


class Meets:
    """One that reads the session: before the view, as process_view(), or after it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.session.get("x")
        return self.get_response(request)


class MeetsView(Meets):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *args: Any) -> None:
        request.session.get("x")


class MeetsAfterwards(Meets):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        request.session.get("x")
        return response


class Answers(Meets):
    """Has an answer of its own for exceptions."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse:
        return HttpResponse("a reserve", status=200)


def page_for_errors(request: HttpRequest) -> HttpResponse:
    """A site's page for errors that says who is signed in."""
    return HttpResponse(request.user.get_username(), status=500)


def page_with_a_fault(request: HttpRequest) -> HttpResponse:
    raise ValueError


class Site:
    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def __call__(self, url: str, **cookies: str) -> Any:
        client: Any = (AsyncClient if self.is_async else Client)(raise_request_exception=False)
        client.cookies["sessionid"] = COOKIE
        if self.is_async:
            return asyncio.run(client.get("/" + url))
        return client.get("/" + url)


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param)


@pytest.fixture(autouse=True)
def outage(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": "redis://127.0.0.1:1/0"}
    settings.ROOT_URLCONF = __name__
    monkeypatch.setattr(unavailable, "outages", unavailable.Outages())


@pytest.fixture
def insert(settings: Any) -> Callable[[str], None]:
    def insert(name: str) -> None:
        position = settings.MIDDLEWARE.index(CALLS) + 1
        inner = [name if "." in name else "%s.%s" % (__name__, name)]
        settings.MIDDLEWARE = (
            settings.MIDDLEWARE[:position] + inner + settings.MIDDLEWARE[position:]
        )

    return insert


def check(response: Any) -> None:
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["Cache-Control"] == "no-store"
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize("url", FAILING)
def test_a_failure_in_a_view_or_a_template_is_503(site: Site, url: str) -> None:
    response = site(url)
    check(response)
    assert response.content.startswith(b"This site can't do that at the moment.")


@pytest.mark.parametrize("url", ["untouched", "auntouched"])
def test_a_view_that_does_not_touch_the_session_goes_on(
    site: Site, settings: Any, url: str
) -> None:
    for saves in (False, True):
        settings.SESSION_SAVE_EVERY_REQUEST = saves
        response = site(url)
        assert (response.status_code, response.content) == (200, b"fine")
        assert "sessionid" not in response.cookies


@pytest.mark.parametrize("status", [200, 404, 500])
def test_who_catches_the_failure_keeps_the_answer(site: Site, status: int) -> None:
    response = site("catches?status=%d" % status)
    assert (response.status_code, response.content) == (status, b"my own")
    assert "sessionid" not in response.cookies


def test_no_answer_tells_that_changes_were_kept_that_were_not(site: Site) -> None:
    check(site("pretends?status=302"))
    assert site("pretends?status=409").status_code == 409
    check(site("writes?status=404"))
    assert site("writes?status=500").status_code == 500  # nothing is saved then: Django's rule


@pytest.mark.parametrize("name", ["Meets", "MeetsView", "MeetsAfterwards"])
@pytest.mark.parametrize("url", ["untouched", "auntouched", "reads", "denied"])
def test_a_failure_in_another_middleware_is_503(
    site: Site, insert: Callable[[str], None], name: str, url: str
) -> None:
    insert(name)
    check(site(url))


def test_djangos_middlewares_may_meet_it(
    site: Site, settings: Any, insert: Callable[[str], None]
) -> None:
    settings.CSRF_USE_SESSIONS = True
    check(site("untouched"))
    settings.CSRF_USE_SESSIONS = False
    assert site("untouched").status_code == 200
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    check(site("untouched"))


@pytest.mark.parametrize("handler", [page_for_errors, page_with_a_fault])
def test_a_page_for_errors_may_meet_it(
    site: Site, insert: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, handler: Any
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "handler500", handler, raising=False)
    insert("MeetsView")
    check(site("untouched"))


def test_another_middlewares_answer_stays(site: Site, insert: Callable[[str], None]) -> None:
    insert("Answers")
    response = site("reads")
    assert (response.status_code, response.content) == (200, b"a reserve")


def test_the_sites_template_is_used_and_knows_no_request(
    site: Site, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "503.html").write_text("<p>Back soon{{ request.session.x }}{{ user.pk }}</p>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    response = site("reads")
    check(response)
    assert response.content == b"<p>Back soon</p>"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_the_text_is_translated(site: Site) -> None:
    with translation.override("de"):
        error = SessionStoreUnavailable("x")
        assert b"noch einmal" in unavailable.StoreUnavailable(error).content


@pytest.mark.parametrize("name", [None, "MeetsView"])
def test_a_developer_is_told_why(
    site: Site, settings: Any, insert: Callable[[str], None], name: str | None
) -> None:
    settings.DEBUG = True
    if name:
        insert(name)
    response = site("areads" if name is None else "untouched")
    check(response)
    assert b"SessionStoreUnavailable: Redis did not answer" in response.content
    assert b"127.0.0.1:1" in response.content
    assert COOKIE.encode() not in response.content


def test_one_line_is_logged_in_an_interval(
    site: Site,
    insert: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    mailoutbox: list[Any],
) -> None:
    now = 1000.0
    monkeypatch.setattr("django_jam_sessions.unavailable.time.monotonic", lambda: now)
    insert("MeetsView")
    for _ in range(5):
        check(site("reads"))
        check(site("writes"))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("django_jam_sessions", logging.ERROR)
    assert record.getMessage().endswith("since the last such line: 1.")
    assert "ConnectionRefusedError" in record.getMessage()
    assert record.exc_info is None
    assert mailoutbox == []
    caplog.clear()
    now += unavailable.LOG_INTERVAL
    check(site("reads"))
    (record,) = caplog.records
    assert record.getMessage().endswith("since the last such line: 10.")


def test_other_errors_are_djangos(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert site("broken").status_code == 500
    assert [record.name for record in caplog.records] == ["django.request"]
    assert site("denied").status_code == 403


def test_a_failure_outside_the_middleware_is_logged(
    site: Site, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MIDDLEWARE = ["%s.MeetsAfterwards" % __name__, *settings.MIDDLEWARE]
    assert site("untouched").status_code == 500
    assert "django.request" in [record.name for record in caplog.records]
