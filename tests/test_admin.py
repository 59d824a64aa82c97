"""The admin, as staff meet it: pages read, forms sent, on every backend."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import dateformat

from django_jam_sessions import SessionInfo, SessionModule, sessions
from django_jam_sessions.admin.keys import SCAN
from django_jam_sessions.codec import handle_of
from django_jam_sessions.conf import conf
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.models import path_of
from django_jam_sessions.steps import run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("jam_settings")]

KEYS = "/admin/jam_sessions/key/"
SESSIONS = "/admin/jam_sessions/session/"
WILD = 'a"b\n<script>alert(1)</script>\r:/?&#%2F..'
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EVIL = "<script>alert('agent')</script>"


def staff(*permissions: str, name: str = "grace") -> Client:
    """A browser that a member of staff with these permissions has signed in with."""
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def admin() -> Client:
    return staff("view_session", "delete_session")


def signed_in(name: str = "ada", agent: str = FIREFOX, **options: Any) -> tuple[User, Client]:
    user, _ = User.objects.get_or_create(username=name)
    user.set_password("x")
    user.save()
    client = Client(headers={"user-agent": agent}, **options)
    assert client.post("/accounts/login/", {"username": name, "password": "x"}).status_code == 302
    return user, client


def infos(key: str) -> list[SessionInfo]:
    return list(sessions.sync.list(key))


def make(key: str, number: int = 1) -> list[str]:
    for _ in range(number):
        sessions.sync.create(key, {})
    return [info.handle for info in infos(key)]


def body(client: Client, url: str, query: dict[str, str] | None = None) -> str:
    response = client.get(url, query)
    assert response.status_code == 200, response.status_code
    return content(response)


def content(response: Any) -> str:
    return str(response.content.decode())


def rows(page: str) -> list[str]:
    """The text of the list's rows."""
    found = re.findall(r'<tr>(<t[dh] class="(?:action|field)-.*?)</tr>', page, re.S)
    return [html.unescape(re.sub(r"<[^>]+>", "|", row)) for row in found]


def crumbs(page: str) -> list[str]:
    """The words of the breadcrumbs."""
    found = re.search(r'<(ol|div) class="breadcrumbs">(.*?)</\1>', page, re.S)
    assert found is not None
    words = re.sub(r"<[^>]+>|&rsaquo;", "|", found[2]).split("|")
    return [word.strip() for word in words if word.strip()]


def page_of(handle: str, what: str = "change") -> str:
    return "%s%s/%s/" % (SESSIONS, handle, what)


# What is seen


def test_the_index_shows_sessions_once() -> None:
    page = body(admin(), "/admin/")
    assert 'href="/admin/jam_sessions/" class="section"' in page
    assert page.count('href="%s"' % KEYS) == 2  # the name, and "View"
    assert SESSIONS not in page
    assert KEYS + "add/" not in page


def test_keys_are_listed_with_their_users() -> None:
    ada, _ = signed_in()
    make("tenant", 3)
    page = body(staff("view_session", "view_user"), KEYS)
    row = next(row for row in rows(page) if "|tenant|" in row)
    assert re.search(r"\|-\|+3\|", row)
    assert '<a href="/admin/auth/user/%d/change/">ada</a>' % ada.pk in page
    assert "?session_key=%s" % ada.pk in page


def test_a_user_is_no_link_for_who_may_not_view_users() -> None:
    ada, _ = signed_in()
    page = body(staff("view_session"), KEYS)
    assert "ada" in page
    assert "/admin/auth/user/%d/" % ada.pk not in page


def test_names_are_looked_up_in_one_query(django_assert_num_queries: Any) -> None:
    client = staff("view_session")
    for number in range(20):
        user = User.objects.create(username="user%d" % number)
        make(str(user.pk))
    make("99999999999999999999999")
    make("nul\0")
    client.get(KEYS)
    with django_assert_num_queries(4) as met:  # the user, and what the user may do
        page = body(client, KEYS)
    assert sum('"auth_user"."id" IN (' in query["sql"] for query in met.captured_queries) == 1
    assert all("user%d" % number in page for number in range(20))


def test_keys_that_are_no_users_are_not_looked_up(settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": lambda data: None}
    client = staff("view_session")
    make(str(User.objects.get().pk))
    page = body(client, KEYS)
    assert "|-|" in rows(page)[0]
    assert rows(body(client, KEYS, {"q": "grace"})) == []


def test_what_lies_under_another_secret_is_counted_or_said_to_be_unknown(settings: Any) -> None:
    old, new = b"1" * 32, b"2" * 32
    for secrets in ([old], [new, old]):
        settings.JAM_SESSIONS = {
            **settings.JAM_SESSIONS,
            "IS_SESSION_CRYPT": True,
            "SESSION_AES_SECRET": secrets,
        }
        make("5", 2)
    client = admin()

    def counts(query: dict[str, str]) -> list[str]:
        page = body(client, KEYS, query)
        return re.findall(r'\?session_key=5".*?"field-total">([^<]+)<', page, re.S)

    assert counts({}) == counts({"q": "5"}) == ["4"]
    assert len(rows(body(client, SESSIONS, {"session_key": "5"}))) == 4
    for number in range(2 * SCAN):
        sessions.sync.create("other-%d" % number, {})
    assert "|1 or more|" in "".join(rows(body(client, KEYS)))
    assert counts({"q": "5"}) == ["4"]


def test_a_search_takes_an_exact_key_and_a_username() -> None:
    ada, _ = signed_in()
    make("other")
    make(WILD)
    client = admin()
    assert [str(ada.pk) in row for row in rows(body(client, KEYS, {"q": "ada"}))] == [True]
    assert [str(ada.pk) in row for row in rows(body(client, KEYS, {"q": str(ada.pk)}))] == [True]
    assert ["other" in row for row in rows(body(client, KEYS, {"q": "other"}))] == [True]
    assert len(rows(body(client, KEYS, {"q": WILD}))) == 1
    for nothing in ("othe", "x" * 256, "nobody\0"):
        assert rows(body(client, KEYS, {"q": nothing})) == []


def test_a_search_finds_two_where_a_username_is_a_key_too() -> None:
    signed_in("twice")
    make("twice")
    assert len(rows(body(admin(), KEYS, {"q": "twice"}))) == 2


def test_anonymous_sessions_are_counted_and_no_rows() -> None:
    for _ in range(3):
        SessionStore().create()
    client = admin()
    assert len(rows(body(client, KEYS))) == 1
    assert "Anonymous (3 here)" in body(client, KEYS)
    page = body(client, KEYS, {"anonymous": "1"})
    assert rows(page) == []
    assert "3 anonymous sessions on this page" in page
    assert "anonymous sessions" not in body(client, KEYS, {"anonymous": "1", "q": "x"})


def test_a_keys_sessions_are_listed() -> None:
    ada, _ = signed_in(REMOTE_ADDR="192.0.2.7")
    signed_in()
    page = body(staff("view_session", "view_user"), SESSIONS, {"session_key": str(ada.pk)})
    assert len(rows(page)) == 2
    (row,) = [row for row in rows(page) if "192.0.2.7" in row]
    assert infos(str(ada.pk))[0].client.device in row  # type: ignore[union-attr]
    assert "<h1>Sessions of ada</h1>" in page
    assert crumbs(page) == ["Home", "Sessions", "Session keys", str(ada.pk)]
    assert 'href="/admin/auth/user/%d/change/">User ada' % ada.pk in page


def test_breadcrumbs_lead_through_the_key_and_are_made_as_djangos_own() -> None:
    ada, _ = signed_in()
    handle, key = infos(str(ada.pk))[0].handle, str(ada.pk)
    client = admin()
    way = ["Home", "Sessions", "Session keys", key, "Session"]
    assert crumbs(body(client, page_of(handle))) == way
    assert crumbs(body(client, page_of(handle, "delete"))) == [*way, "Delete"]
    assert crumbs(body(client, page_of(handle, "history"))) == [*way, "History"]
    form = {"action": "delete_selected", "_selected_action": handle, "index": "0"}
    page = content(client.post(SESSIONS + "?session_key=" + key, form))
    assert crumbs(page) == [*way[:4], "Delete multiple objects"]
    (tag,) = re.findall(r"<(\w+) class=\"breadcrumbs\"", body(client, KEYS))
    assert '<%s class="breadcrumbs">' % tag in page


def test_the_session_one_uses_is_marked() -> None:
    client = admin()
    user = User.objects.get()
    make(str(user.pk), 2)
    page = body(client, SESSIONS, {"session_key": str(user.pk)})
    assert page.count("icon-yes.svg") == 1
    (current,) = [
        info.handle
        for info in sessions.sync.list(str(user.pk), current=client.session.session_key)
        if info.is_current
    ]
    assert "icon-yes.svg" in body(client, page_of(current))


def test_there_is_no_list_of_all_sessions() -> None:
    assert admin().get(SESSIONS).headers["Location"] == KEYS


def test_a_session_page_shows_the_session() -> None:
    ada, _ = signed_in(REMOTE_ADDR="192.0.2.7")
    (info,) = infos(str(ada.pk))
    page = body(admin(), page_of(info.handle))
    assert "<h1>View session</h1>" in page
    for text in (info.handle, FIREFOX, "192.0.2.7", "?session_key=%d" % ada.pk):
        assert text in page
    assert 'name="_save"' not in page


def test_a_session_without_a_description_is_shown_all_the_same() -> None:
    make("5")
    assert "Unknown device" in body(admin(), SESSIONS, {"session_key": "5"})


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_are_those_of_the_site(settings: Any, use_tz: bool) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Asia/Kathmandu"
    (handle,) = make("5")
    here = timezone(timedelta(hours=5, minutes=45))
    shown = dateformat.format(infos("5")[0].created_at.astimezone(here), "P")
    client = admin()
    for url in (KEYS, SESSIONS + "?session_key=5", page_of(handle)):
        assert shown in body(client, url).replace("\N{NO-BREAK SPACE}", " ")


def test_a_session_that_never_expires_is_shown() -> None:
    module = SessionModule(**{**conf.module_arguments(), "session_ttl": None})
    module.sync.create("5", {})
    (info,) = infos("5")
    assert info.expires_at is None
    assert '<td class="field-expires">-</td>' in body(admin(), SESSIONS, {"session_key": "5"})


# Pages


def test_many_keys_come_in_pages() -> None:
    wanted = {"key-%03d" % number for number in range(SCAN + 100)}
    for key in wanted:
        make(key)
    client, met, url, pages = admin(), set(), KEYS, 0
    while url:
        page = body(client, url)
        met |= set(re.findall(r"\?session_key=(key-\d+)", page))
        assert ("First page" in page) == (url != KEYS)
        following = re.search(r'href="([^"]+)" rel="next">Continue', page)
        url, pages = KEYS + html.unescape(following[1]) if following else "", pages + 1
    assert met == wanted
    assert pages > 1


def test_many_sessions_come_in_pages() -> None:
    make("big", 900)
    wanted = {info.handle for info in infos("big")}
    client, met, query, pages = admin(), set(), "?session_key=big", 0
    while query:
        page = body(client, SESSIONS + query)
        found = re.findall(r'name="_selected_action" value="([^"]+)"', page)
        assert len(found) <= 400
        met |= set(found)
        following = re.search(r'href="([^"]+)" rel="next">Continue', page)
        query, pages = html.unescape(following[1]) if following else "", pages + 1
    assert met == wanted
    assert pages > 1


@pytest.mark.parametrize("query", [{"p": "x y"}, {"p": "-"}, {"device": "x"}, {"nonsense": "1"}])
def test_a_wrong_query_is_answered_as_django_does(query: dict[str, str]) -> None:
    client = admin()
    assert client.get(SESSIONS, {"session_key": "5", **query}).headers["Location"].endswith("?e=1")
    if query != {"p": "-"} and "device" not in query:
        assert client.get(KEYS, query).status_code == 302


def test_a_key_that_cannot_be_one_has_no_page() -> None:
    client = admin()
    response = client.get(SESSIONS, {"session_key": "x" * 256})
    assert response.headers["Location"] == SESSIONS + "?e=1"
    assert client.get("%s%s/delete/" % (KEYS, "x" * 256)).headers["Location"] == "/admin/"


# Who may


PATHS = {
    "keys": KEYS,
    "search": KEYS + "?q=x",
    "sessions": SESSIONS + "?session_key=5",
    "bare": SESSIONS,
    "session": SESSIONS + "{handle}/change/",
    "history": SESSIONS + "{handle}/history/",
    "key": KEYS + "5/change/",
    "key-history": KEYS + "5/history/",
}
ENDS = {"end": SESSIONS + "{handle}/delete/", "end-all": KEYS + "5/delete/"}


@pytest.mark.parametrize("path", [*PATHS.values(), *ENDS.values()])
def test_others_get_403_and_the_public_the_login_page(path: str) -> None:
    (handle,) = make("5")
    path = path.format(handle=handle)
    for client in (staff(), staff("view_user", "view_session_data", name="hal")):
        assert client.get(path).status_code == 403
        assert client.post(path, {"post": "yes"}).status_code == 403
    for client in (Client(), signed_in()[1]):
        response = client.get(path)
        assert response.status_code == 302
        assert "/admin/login/" in response.headers["Location"]
    assert infos("5")


def test_viewers_see_and_cannot_end() -> None:
    (handle,) = make("5")
    client = staff("view_session")
    for path in PATHS.values():
        assert client.get(path.format(handle=handle)).status_code in (200, 302)
    for path in ENDS.values():
        assert client.get(path.format(handle=handle)).status_code == 403
        assert client.post(path.format(handle=handle), {"post": "yes"}).status_code == 403
    for url, name in ((KEYS, "5"), (SESSIONS + "?session_key=5", handle)):
        page = body(client, url)
        assert "delete" not in page.split('id="content"')[1]
        assert "End" not in page.split('id="content"')[1]
        form = {"action": "delete_selected", "_selected_action": name, "post": "yes"}
        client.post(url, form)
    assert "deletelink" not in body(client, page_of(handle))
    assert infos("5")


def test_nobody_adds_or_changes() -> None:
    (handle,) = make("5")
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss", password="x"))
    for path in (KEYS + "add/", SESSIONS + "add/"):
        assert boss.get(path).status_code == 403
        assert boss.post(path, {"handle": "x"}).status_code == 403
    for path in (KEYS + "5/change/", page_of(handle)):
        assert boss.post(path, {"session_key": "6"}).status_code == 403
    assert infos("5")


def test_every_page_is_kept_from_caches() -> None:
    (handle,) = make("5")
    client = admin()
    for path in (*PATHS.values(), *ENDS.values()):
        response = client.get(path.format(handle=handle))
        assert "no-store" in response.headers["Cache-Control"], path
        assert "private" in response.headers["Cache-Control"]


def test_a_form_without_a_token_ends_nothing() -> None:
    (handle,) = make("5")
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss", password="x"))
    form = {"action": "delete_selected", "_selected_action": "5", "post": "yes"}
    assert client.post(KEYS, form).status_code == 403
    for path in ENDS.values():
        assert client.post(path.format(handle=handle), {"post": "yes"}).status_code == 403
    assert infos("5")


# Endings


def logged() -> list[Any]:
    entries = LogEntry.objects.order_by("pk")
    return list(entries.values_list("user__username", "object_id", "action_flag"))


def test_one_session_is_ended_from_its_row() -> None:
    handle, other = make("5", 2)
    client = admin()
    page = body(client, SESSIONS, {"session_key": "5"})
    found = re.search(r'href="(%s[^"]+)" class="deletelink">End' % page_of(handle, "delete"), page)
    assert found is not None
    url = html.unescape(found[1])
    question = body(client, url)
    assert "Are you sure you want to delete the session" in question
    assert "Unknown device, last seen: " in question
    response = client.post(url, {"post": "yes"}, follow=True)
    assert response.redirect_chain[-1][0] == SESSIONS + "?session_key=5"
    assert "was deleted successfully" in content(response)
    assert [info.handle for info in infos("5")] == [other]
    assert logged() == [("grace", handle, DELETION)]
    assert str(LogEntry.objects.get()).startswith("Deleted “%s (5)" % handle)


def test_one_session_is_ended_from_its_page_and_the_way_leads_back_to_its_key() -> None:
    (handle,) = make("5")
    client = admin()
    found = re.search(r'href="([^"]+)" class="deletelink"', body(client, page_of(handle)))
    assert found is not None
    response = client.post(html.unescape(found[1]), {"post": "yes"})
    assert response.headers["Location"] == SESSIONS + "?session_key=5"
    assert infos("5") == []


def test_selected_sessions_are_ended() -> None:
    first, second, third = make("5", 3)
    client, url = admin(), SESSIONS + "?session_key=5"
    form = {"action": "delete_selected", "_selected_action": [first, second], "index": "0"}
    page = content(client.post(url, form))
    assert "Are you sure you want to delete the selected sessions?" in page
    assert "<li>Sessions: 2</li>" in page
    assert len(infos("5")) == 3
    del form["index"]
    response = client.post(url, {**form, "post": "yes"}, follow=True)
    assert "Successfully deleted 2 sessions." in content(response)
    assert [info.handle for info in infos("5")] == [third]
    assert sorted(logged()) == sorted([("grace", each, DELETION) for each in (first, second)])


@pytest.mark.parametrize("key", ["5", WILD, "..", " ", "ключ", "_2F"])
def test_all_sessions_of_selected_keys_are_ended(key: str) -> None:
    make(key, 2)
    make("other")
    client = admin()
    names = re.findall(r'name="_selected_action" value="([^"]+)"', body(client, KEYS))
    name = path_of(key)
    assert name in map(html.unescape, names)
    form = {"action": "delete_selected", "_selected_action": name}
    page = content(client.post(KEYS, {**form, "index": "0"}))
    assert "<li>Session keys: 1</li>" in page
    assert "<li>Sessions: 2</li>" in page
    assert "<script>alert" not in page
    response = client.post(KEYS, {**form, "post": "yes"}, follow=True)
    assert "Successfully deleted 1 session key." in content(response)
    assert infos(key) == []
    assert len(infos("other")) == 1
    assert logged() == [("grace", name, DELETION)]


@pytest.mark.parametrize("key", ["5", WILD, "..", ".", " ", "ключ", "_2F", "a\0b"])
def test_all_sessions_of_a_key_are_ended_from_its_page(key: str) -> None:
    make(key, 2)
    client = admin()
    page = body(client, SESSIONS + "?" + urlencode({"session_key": key}))
    found = re.search(r'href="([^"]+)">End all', page)
    assert found is not None
    assert "/../" not in found[1]
    assert "/./" not in found[1]
    assert "2 sessions" in body(client, html.unescape(found[1]))
    response = client.post(html.unescape(found[1]), {"post": "yes"})
    assert response.headers["Location"] == KEYS
    assert infos(key) == []
    assert logged() == [("grace", path_of(key), DELETION)]


def test_who_ends_all_sessions_of_a_user_is_told_whose() -> None:
    ada, _ = signed_in()
    client = admin()
    assert "<li>ada, 1 session</li>" in body(client, "%s%d/delete/" % (KEYS, ada.pk))
    form = {"action": "delete_selected", "_selected_action": str(ada.pk), "index": "0"}
    assert "<li>ada, 1 session</li>" in content(client.post(KEYS, form))


def test_a_key_page_is_the_list_of_its_sessions() -> None:
    make(WILD)
    client = admin()
    url = reverse("admin:jam_sessions_key_change", args=[path_of(WILD)])
    assert client.get(url).headers["Location"] == SESSIONS + "?" + urlencode({"session_key": WILD})


def test_what_has_ended_meanwhile_is_neither_ended_nor_logged() -> None:
    (handle,) = make("5")
    client = admin()
    sessions.sync.clear("5")
    for path in ENDS.values():
        response = client.post(path.format(handle=handle), {"post": "yes"}, follow=True)
        assert "Perhaps it was deleted?" in html.unescape(content(response))
    form = {"action": "delete_selected", "_selected_action": handle, "post": "yes"}
    client.post(SESSIONS + "?session_key=5", form)
    client.post(KEYS, {**form, "_selected_action": "5"})
    assert logged() == []


def test_who_ends_their_own_session_is_signed_out(settings: Any) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    client = admin()
    key = str(User.objects.get().pk)
    response = client.post("%s%s/delete/" % (KEYS, key), {"post": "yes"})
    assert response.status_code == 302
    assert response.cookies["sessionid"]["max-age"] == 0
    assert infos(key) == []
    assert logged() == [("grace", key, DELETION)]
    assert client.get(KEYS).status_code == 302


def test_the_history_tells_who_ended_what() -> None:
    make("5", 2)
    client = admin()
    client.post(KEYS + "5/delete/", {"post": "yes"})
    (handle,) = make("5")
    assert "grace" in body(client, KEYS + "5/history/").split("change-history")[1]
    assert "Change history" in body(client, page_of(handle, "history"))
    make("5")
    client.post(page_of(handle, "delete"), {"post": "yes"})
    make("other")
    client.post(page_of(infos("other")[0].handle, "delete"), {"post": "yes"})
    shown = body(client, KEYS + "5/history/").split("change-history")[1]
    assert [shown.count("Deleted"), shown.count(handle)] == [2, 1]
    assert "Recent actions" in body(client, "/admin/")


@pytest.mark.parametrize("handle", ["x", "0" * 15 + "." + "0" * 25, "..", "<b>"])
def test_an_unknown_handle_is_told_as_django_tells_it(handle: str) -> None:
    client = admin()
    url = reverse("admin:jam_sessions_session_change", args=[handle])
    assert client.get(url).headers["Location"] == "/admin/"


def test_an_anonymous_session_has_no_page() -> None:
    store = SessionStore()
    store.create()
    place = store._stored.place  # type: ignore[union-attr]
    response = admin().get(page_of(handle_of(place.locator, place.field)))
    assert response.headers["Location"] == "/admin/"


# What is kept from eyes


DATA = {"_auth_user_hash": "hash-of-it", "cart": ["<b>bold</b>"], "deep": {"_csrftoken": "token-x"}}


def test_data_is_shown_with_the_permission_alone() -> None:
    sessions.sync.create("5", DATA)
    (info,) = infos("5")
    assert "bold" not in body(admin(), page_of(info.handle))
    client = staff("view_session", "view_session_data", name="hal")
    page = body(client, page_of(info.handle))
    shown = re.search(r"<pre>(.*?)</pre>", page, re.S)
    assert shown is not None
    assert json.loads(html.unescape(shown[1])) == {
        "_auth_user_hash": "********",
        "cart": ["<b>bold</b>"],
        "deep": {"_csrftoken": "********"},
    }
    assert "hash-of-it" not in page
    assert "token-x" not in page
    assert "<b>bold" not in page


def test_data_of_the_engine_is_shown_as_its_serializer_reads_it(settings: Any) -> None:
    ada, browser = signed_in()
    session = browser.session
    session["cart"] = "apples"
    session.save()
    page = body(staff("view_session", "view_session_data"), page_of(infos(str(ada.pk))[0].handle))
    assert "apples" in page
    assert session["_auth_user_hash"] not in page


def test_data_that_cannot_be_read_is_said_to_be_so() -> None:
    make("5")
    module = configured.current()
    (info,) = infos("5")
    found = run(module.backend, module.operations.find(info.handle))
    assert found is not None
    assert found[1] is not None
    run(module.backend, module.operations.replace(found[1], b"[torn", None))
    page = body(staff("view_session", "view_session_data"), page_of(info.handle))
    assert "It can&#x27;t be read." in page


def test_no_page_holds_an_id_or_a_script() -> None:
    ada, browser = signed_in(agent=EVIL)
    made = sessions.sync.create(WILD, {"x": EVIL})
    (handle,) = [info.handle for info in infos(str(ada.pk))]
    (wild,) = [info.handle for info in infos(WILD)]
    boss = Client(headers={"user-agent": EVIL})
    boss.force_login(User.objects.create_superuser("boss", password="x"))
    ids = [made, boss.cookies["sessionid"].value, browser.cookies["sessionid"].value]
    wild_query = "?" + urlencode({"session_key": WILD})
    wild_key = reverse("admin:jam_sessions_key_delete", args=[path_of(WILD)])
    urls = [
        "/admin/",
        KEYS,
        KEYS + "?" + urlencode({"q": WILD}),
        SESSIONS + wild_query,
        SESSIONS + "?session_key=%d" % ada.pk,
        wild_key,
        wild_key.replace("/delete/", "/history/"),
        "/admin/auth/user/%d/change/" % ada.pk,
        *(page_of(handle, what) for what in ("change", "delete", "history")),
        *(page_of(wild, what) for what in ("change", "delete", "history")),
    ]
    for url in urls:
        response = boss.get(url)
        assert response.status_code == 200, url
        page = content(response) + str(response.headers)
        assert "<script>alert" not in page, url
        assert not [each for each in ids if each in page or each[15:] in page], url


# From a user's page


def test_a_users_page_links_to_the_sessions() -> None:
    ada, _ = signed_in()
    signed_in()
    client = staff("view_session", "view_user", "change_user")
    page = body(client, "/admin/auth/user/%d/change/" % ada.pk)
    assert '<a href="%s?session_key=%d">Sessions (2)</a>' % (SESSIONS, ada.pk) in page
    assert "historylink" in page
    add = staff("view_session", "view_user", "change_user", "add_user", name="hal")
    assert "Sessions (" not in body(add, "/admin/auth/user/add/")


def test_a_users_page_has_no_link_for_who_may_not_view_sessions() -> None:
    ada, _ = signed_in()
    page = body(staff("view_user"), "/admin/auth/user/%d/change/" % ada.pk)
    assert "Sessions (" not in page
    assert SESSIONS not in page
