"""The page "Your sessions", under WSGI and ASGI."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from django_jam_sessions import sessions
from django_jam_sessions.views import PAGE_LENGTH

from .browsing import FIREFOX, PASSWORD, SAFARI, Browser, Outline

pytestmark = pytest.mark.django_db

Browse = Callable[..., Browser]
LIST = "/sessions/"
BUTTONS = ["end-others/", "end-all/", "%s.%s/end/" % ("a" * 15, "0" * 25)]
KEY = "\"quoted\" 'key'\nand <b>lines</b>:\r\n"
DOCS = Path(__file__).parent.parent / "docs" / "pages.md"
HANDLE = re.compile(r'action="/sessions/([0-9a-z.]+)/end/"')


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def browse(request: pytest.FixtureRequest) -> Browse:
    return lambda *args, **options: Browser(request.param, *args, **options)


@pytest.fixture
def json_settings(settings: Any, tmp_path: Path) -> Any:
    """One store, for what is no matter of stores."""
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "sessions"}
    return settings


@pytest.fixture
def ada(db: None) -> Any:
    return get_user_model().objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def grace(db: None) -> Any:
    return get_user_model().objects.create_user("grace", password=PASSWORD)


def text_of(response: HttpResponse, status: int = 200) -> str:
    assert response.status_code == status
    return response.content.decode()


def is_signed_in(browser: Browser) -> bool:
    return browser.get(LIST).status_code == 200


def handles(browser: Browser) -> list[str]:
    """Of the sessions that have a button."""
    return HANDLE.findall(text_of(browser.get(LIST)))


def test_the_own_sessions_are_listed_this_one_first(
    jam_settings: Any, browse: Browse, ada: Any, grace: Any
) -> None:
    laptop, phone = browse(FIREFOX).sign_in(ada), browse(SAFARI).sign_in(ada)
    browse(FIREFOX).sign_in(grace)
    for here, this, other in ((laptop, "Firefox", "Safari"), (phone, "Safari", "Firefox")):
        outline = Outline(text_of(here.get(LIST)))
        first, second = outline.words("h3")
        assert (this in first, other in second) == (True, True)
        assert outline.words("h2") == ["This session", "Other sessions", "Sign out everywhere"]
        assert outline.words("dt") == ["IP address", "Created", "Last seen"] * 2
        assert outline.words("dd")[0] == "127.0.0.1"
        assert len(outline.named("time")) == 4
        assert all("T" in str(time["datetime"]) for time in outline.named("time"))


def test_one_is_ended(jam_settings: Any, browse: Browse, ada: Any) -> None:
    laptop, phone, other = (browse().sign_in(ada) for _ in range(3))
    (before,) = set(handles(laptop)) - set(handles(phone)) or {""}
    response = laptop.post("%s%s/end/" % (LIST, before))
    assert (response.status_code, response.headers["Location"]) == (302, LIST)
    assert [is_signed_in(each) for each in (laptop, phone, other)] == [True, False, True]
    assert phone.get(LIST).headers["Location"] == "/accounts/login/?next=/sessions/"


def test_it_is_said_what_was_done(json_settings: Any, browse: Browse, ada: Any) -> None:
    laptop = browse().sign_in(ada)
    browse().sign_in(ada)
    (handle,) = handles(laptop)
    page = laptop.post("%s%s/end/" % (LIST, handle), follow=True)
    assert Outline(text_of(page)).words("p")[0] == "The session has been ended."
    assert "has been ended" not in text_of(laptop.get(LIST))


def test_all_others_are_ended(jam_settings: Any, browse: Browse, ada: Any, grace: Any) -> None:
    laptop, phone, other = (browse().sign_in(each) for each in (ada, ada, grace))
    assert laptop.post(LIST + "end-others/").headers["Location"] == LIST
    assert [is_signed_in(each) for each in (laptop, phone, other)] == [True, False, True]
    assert Outline(text_of(laptop.get(LIST))).words("button") == ["End all sessions, this one too"]


def test_all_are_ended_this_one_too(
    jam_settings: Any, browse: Browse, ada: Any, grace: Any
) -> None:
    laptop, phone, other = (browse().sign_in(each) for each in (ada, ada, grace))
    response = laptop.post(LIST + "end-all/")
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert laptop.session_id == ""
    assert [is_signed_in(each) for each in (laptop, phone, other)] == [False, False, True]
    assert sessions.sync.count(str(ada.pk)) == 0


def test_who_is_signed_out_comes_to_the_login_where_there_is_no_other_page(
    json_settings: Any, browse: Browse, ada: Any
) -> None:
    json_settings.LOGOUT_REDIRECT_URL = None
    response = browse().sign_in(ada).post(LIST + "end-all/")
    assert response.headers["Location"] == "/accounts/login/"


def test_ending_this_session_is_signing_out(json_settings: Any, browse: Browse, ada: Any) -> None:
    laptop, phone = browse().sign_in(ada), browse().sign_in(ada)
    (handle,) = handles(phone)
    assert laptop.post("%s%s/end/" % (LIST, handle)).headers["Location"] == "/"
    assert [is_signed_in(laptop), is_signed_in(phone)] == [False, True]


def test_a_foreign_a_malformed_and_an_ended_handle_are_not_found(
    jam_settings: Any, browse: Browse, ada: Any, grace: Any
) -> None:
    mine, foreign, gone = (browse().sign_in(each) for each in (ada, grace, ada))
    (ended,) = handles(mine)
    gone.post("/accounts/logout/")
    browse().sign_in(grace)
    (other,) = handles(foreign)
    wrong = [other, ended, "x", "0", "..", "%00", "%0a", "💥", "a" * 3000, other.upper(), "<b>"]
    pages = {text_of(mine.post("%s%s/end/" % (LIST, each)), 404) for each in wrong}
    assert len(pages) == 1
    assert sessions.sync.count(str(grace.pk)) == 2
    assert is_signed_in(mine)


@pytest.mark.parametrize("path", ["", *BUTTONS])
def test_without_a_user_every_url_leads_to_the_login(
    json_settings: Any, browse: Browse, path: str
) -> None:
    browser = browse()
    response = browser.post(LIST + path) if path else browser.get(LIST)
    assert response.headers["Location"] == "/accounts/login/?next=/sessions/"
    assert "no-store" in response.headers["Cache-Control"]


def named_by_a_token(get_response: Any) -> Any:
    """Middleware that knows the user from elsewhere than the session."""

    def middleware(request: Any) -> Any:
        request.auser = partial(get_user_model().objects.aget, username="grace")
        return get_response(request)

    return middleware


@pytest.mark.parametrize("path", ["", *BUTTONS])
def test_another_users_cookie_is_no_session_of_ones_own(
    json_settings: Any, browse: Browse, ada: Any, grace: Any, path: str
) -> None:
    browser = browse().sign_in(ada)
    json_settings.MIDDLEWARE = [*json_settings.MIDDLEWARE, "tests.test_pages.named_by_a_token"]
    browser.client.handler._middleware_chain = None  # it is loaded with the first request
    response = browser.post(LIST + path) if path else browser.get(LIST)
    assert response.headers["Location"] == "/accounts/login/?next=/sessions/"
    assert sessions.sync.count(str(ada.pk)) == 1


@pytest.mark.parametrize("path", ["", *BUTTONS])
def test_only_the_list_is_got_and_the_rest_is_posted(
    json_settings: Any, browse: Browse, ada: Any, path: str
) -> None:
    browser = browse().sign_in(ada)
    response = browser.get(LIST + path) if path else browser.post(LIST)
    assert response.status_code == 405
    assert "no-store" in response.headers["Cache-Control"]
    assert sessions.sync.count(str(ada.pk)) == 1


@pytest.mark.parametrize("path", BUTTONS)
@pytest.mark.parametrize("protection", ["middleware", "no middleware", "in the session", "neither"])
def test_another_sites_post_is_refused(
    json_settings: Any, browse: Browse, ada: Any, path: str, protection: str
) -> None:
    if protection in ("no middleware", "neither"):
        name = "django.middleware.csrf.CsrfViewMiddleware"
        json_settings.MIDDLEWARE = [each for each in json_settings.MIDDLEWARE if each != name]
    json_settings.CSRF_USE_SESSIONS = protection in ("in the session", "neither")
    browser = browse().sign_in(ada)
    browser.client.handler.enforce_csrf_checks = True
    refused = browser.post(LIST + path)
    assert refused.status_code == 403
    assert "no-store" in refused.headers["Cache-Control"]
    assert is_signed_in(browser)
    page = text_of(browser.get(LIST))
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    status = browser.post(LIST + path, {"csrfmiddlewaretoken": token[1]}).status_code
    assert status == (404 if path.endswith("/end/") else 302)


def test_nothing_is_kept_by_a_cache(json_settings: Any, browse: Browse, ada: Any) -> None:
    browser = browse().sign_in(ada)
    paths = ["%s/end/" % "0", "end-others/", "end-all/"]
    answers = [browser.get(LIST), browser.get(LIST + "?cursor=!")]
    answers += [browser.post(LIST + path) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 404, 404, 302, 302]
    for answer in answers:
        assert {"no-store", "private"} <= set(answer.headers["Cache-Control"].split(", "))
        assert "Cookie" in answer.headers["Vary"]


def test_what_a_client_says_of_itself_is_escaped(
    json_settings: Any, browse: Browse, ada: Any
) -> None:
    evil = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
    browser = browse(evil).sign_in(ada)
    browse(evil).sign_in(ada)
    page = text_of(browser.get(LIST))
    assert page.count("&lt;script&gt;alert(&#x27;x&#x27;)") == 3  # twice a heading, once a button
    assert not {"script", "img", "b"} & {tag for tag, _ in Outline(page).tags}


def quoted(data: dict[str, Any]) -> str | None:
    return KEY if "_auth_user_id" in data else None


def nobody(data: dict[str, Any]) -> None:
    return None


def test_the_sessions_are_the_keys_that_the_settings_say(
    jam_settings: Any, browse: Browse, ada: Any, grace: Any
) -> None:
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "SESSION_KEY": quoted}
    laptop, phone = browse().sign_in(ada), browse().sign_in(grace)  # one tenant
    (handle,) = handles(laptop)
    assert "quoted" not in text_of(laptop.get(LIST))
    assert laptop.post("%s%s/end/" % (LIST, handle)).status_code == 302
    assert not is_signed_in(phone)
    laptop.post(LIST + "end-all/")
    assert sessions.sync.count(KEY) == 0


def test_a_session_that_is_nobodys_is_alone(json_settings: Any, browse: Browse, ada: Any) -> None:
    json_settings.JAM_SESSIONS = {**json_settings.JAM_SESSIONS, "SESSION_KEY": nobody}
    here, there = browse().sign_in(ada), browse().sign_in(ada)
    assert Outline(text_of(here.get(LIST))).words("h3") == ["Firefox on Linux"]
    assert here.post(LIST + BUTTONS[2]).status_code == 404
    assert here.post(LIST + "end-others/").status_code == 302
    assert is_signed_in(there)
    assert here.post(LIST + "end-all/").status_code == 302
    assert [is_signed_in(here), is_signed_in(there)] == [False, True]


def test_a_long_list_has_pages(jam_settings: Any, browse: Browse, ada: Any) -> None:
    browser = browse().sign_in(ada)
    for number in range(3 * PAGE_LENGTH):
        sessions.sync.create(str(ada.pk), {"number": number})
    seen: set[str] = set()
    path, pages = LIST, 0
    while path:
        page = text_of(browser.get(path))
        assert Outline(page).words("h3")[0] == "Firefox on Linux"
        seen |= set(HANDLE.findall(page))
        more = re.search(r'href="(/sessions/\?cursor=[^"]+)"', page)
        assert ("First page" in page) == (pages > 0)
        path, pages = more[1] if more else "", pages + 1
    assert len(seen) == 3 * PAGE_LENGTH
    assert 2 <= pages <= 4


def test_a_made_up_cursor_is_not_found_or_harmless(
    jam_settings: Any, browse: Browse, ada: Any
) -> None:
    browser = browse().sign_in(ada)
    for cursor in ("", "x", "0", "1.0", "0.x", "0.-", "0." + "9" * 40, "%00", "-1"):
        assert browser.get(LIST + "?cursor=" + cursor).status_code in (200, 404)


def test_no_page_holds_a_session_id(jam_settings: Any, browse: Browse, ada: Any) -> None:
    here, there = browse().sign_in(ada), browse().sign_in(ada)
    (handle,) = handles(here)
    ids = [here.session_id, there.session_id]
    answers = [here.get(LIST), here.post(LIST + "x/end/"), here.post("%s%s/end/" % (LIST, handle))]
    answers += [here.post(LIST + "end-others/"), here.post(LIST + "end-all/")]
    for answer in answers:
        shown = answer.content.decode() + repr(sorted(answer.headers.items()))
        assert not [each for each in ids if each in shown or each[15:] in shown]


def test_the_page_works_without_messages(json_settings: Any, browse: Browse, ada: Any) -> None:
    def without(names: list[str]) -> list[str]:
        return [name for name in names if "messages" not in name and "admin" not in name]

    options = json_settings.TEMPLATES[0]["OPTIONS"]
    options = {**options, "context_processors": without(options["context_processors"])}
    json_settings.TEMPLATES = [{**json_settings.TEMPLATES[0], "OPTIONS": options}]
    json_settings.MIDDLEWARE = without(json_settings.MIDDLEWARE)
    json_settings.INSTALLED_APPS = without(json_settings.INSTALLED_APPS)
    json_settings.ROOT_URLCONF = "tests.pages_urls"
    browser = browse().sign_in(ada)
    assert browser.post(LIST + "end-others/", follow=True).status_code == 200


def asking(request: HttpRequest) -> dict[str, Any]:
    """A context processor that asks the database."""
    return {"users": get_user_model().objects.count()}


def test_a_site_has_its_own_base_template_and_context(
    json_settings: Any, browse: Browse, ada: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "templates" / "django_jam_sessions"
    directory.mkdir(parents=True)
    base = "<h6>{{ users }} user, {{ user.username }}</h6>{% block content %}{% endblock %}"
    (directory / "base.html").write_text(base)
    options = dict(json_settings.TEMPLATES[0]["OPTIONS"])
    options["context_processors"] = [*options["context_processors"], "tests.test_pages.asking"]
    template = {**json_settings.TEMPLATES[0], "DIRS": [directory.parent], "OPTIONS": options}
    json_settings.TEMPLATES = [template]
    browser = browse().sign_in(ada)
    for path in (LIST, LIST + "?cursor=!"):
        outline = Outline(browser.get(path).content.decode())
        assert outline.words("h6") == ["1 user, ada"]
        assert len(outline.words("h1")) == 1


def test_the_header_that_the_documentation_shows_leads_back_to_the_site(
    json_settings: Any, browse: Browse, ada: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "templates" / "django_jam_sessions"
    directory.mkdir(parents=True)
    header, _ = re.findall(r"```django\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (directory / "base.html").write_text(header)
    json_settings.TEMPLATES = [{**json_settings.TEMPLATES[0], "DIRS": [directory.parent]}]
    browser = browse().sign_in(ada)
    for path in (LIST, LIST + "?cursor=!"):
        outline = Outline(browser.get(path).content.decode())
        assert outline.words("header") == ["Example site"]
        assert {"href": "/"} in outline.named("a")
        assert len(outline.words("h1")) == 1


def test_a_page_says_itself_what_it_shows(json_settings: Any, browse: Browse, ada: Any) -> None:
    browser = browse(FIREFOX).sign_in(ada)
    browse(SAFARI).sign_in(ada)
    browse(SAFARI, address="192.0.2.7").sign_in(ada)
    sessions.sync.create(str(ada.pk), {})  # of no client
    page = text_of(browser.get(LIST))
    outline = Outline(page)
    assert outline.named("html") == [{"lang": "en-us"}]
    assert (len(outline.named("main")), len(outline.words("h1"))) == (1, 1)
    assert outline.words("title") == outline.words("h1")
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    buttons = outline.words("button")
    assert len(set(buttons)) == len(buttons) == 5
    assert any(re.match("End the session of .*192.0.2.7, last seen", name) for name in buttons)
    assert any(re.match("End the session of Unknown device", name) for name in buttons)
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    labels = {attributes.get("aria-labelledby") for attributes in outline.named("section")}
    assert labels <= set(ids)


def test_a_page_has_no_scripts_and_no_styles_within(
    json_settings: Any, browse: Browse, ada: Any
) -> None:
    browser = browse().sign_in(ada)
    browse().sign_in(ada)
    for path in (LIST, LIST + "?cursor=!"):
        for tag, attributes in Outline(browser.get(path).content.decode()).tags:
            assert tag not in ("script", "style")
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
            for name in ("src", "href", "action"):
                assert re.match("/(?!/)|static/", attributes.get(name) or "/")


@pytest.mark.parametrize(
    ("zone", "offset", "name"),
    [
        ("UTC", "+00:00", "UTC"),
        ("Africa/Nairobi", "+03:00", "EAT"),
        ("Asia/Kathmandu", "+05:45", "+0545"),
    ],
)
@pytest.mark.parametrize("use_tz", [True, False])
def test_times_are_the_sites_and_say_so(
    json_settings: Any, browse: Browse, ada: Any, use_tz: bool, zone: str, offset: str, name: str
) -> None:
    json_settings.USE_TZ, json_settings.TIME_ZONE = use_tz, zone
    browse().sign_in(ada)
    outline = Outline(text_of(browse().sign_in(ada).get(LIST)))
    assert all(str(time["datetime"]).endswith(offset) for time in outline.named("time"))
    assert all(text.split()[-1] == name for text in outline.words("time"))
    assert outline.words("button")[0].endswith(outline.words("time")[-1])


def in_nairobi(get_response: Any) -> Any:
    """A middleware that activates a time zone, as a site does for its user."""

    def middleware(request: HttpRequest) -> Any:
        with timezone.override("Africa/Nairobi"):
            return get_response(request)

    return middleware


def test_times_are_in_the_zone_that_the_site_activates(
    json_settings: Any, browse: Browse, ada: Any
) -> None:
    json_settings.MIDDLEWARE = [*json_settings.MIDDLEWARE, "tests.test_pages.in_nairobi"]
    times = Outline(text_of(browse().sign_in(ada).get(LIST))).words("time")
    assert [text.split()[-1] for text in times] == ["EAT", "EAT"]
