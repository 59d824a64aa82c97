"""Django's login and logout over the engine, and requests that are in flight meanwhile."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import (
    SESSION_KEY,
    alogin,
    get_user_model,
    login,
    logout,
    update_session_auth_hash,
    user_logged_in,
)
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import isolate_apps

from django_jam_sessions import receivers, sessions
from django_jam_sessions.current import current_request
from django_jam_sessions.engine import SessionStore

pytestmark = [pytest.mark.usefixtures("jam_settings"), pytest.mark.django_db]

COOKIE = "sessionid"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def ada() -> User:
    return get_user_model().objects.create_user("ada", password="ada's")


@pytest.fixture
def grace() -> User:
    return get_user_model().objects.create_user("grace", password="grace's")


def request_with(key: str | None) -> HttpRequest:
    """A request in flight: it carries a cookie, and has read its session."""
    request = RequestFactory().get("/")
    request.session = SessionStore(key)
    request.session.get("x")
    return request


def finish(request: HttpRequest) -> HttpResponse:
    """What Django's own middleware does with the response."""
    request.COOKIES[COOKIE] = "the one before"
    middleware = SessionMiddleware(lambda request: HttpResponse())
    response = middleware.process_response(request, HttpResponse())
    assert isinstance(response, HttpResponse)
    return response


def finished_key(request: HttpRequest) -> str:
    """The cookie that the client has afterwards; it agrees with the store's own key."""
    cookie: str = finish(request).cookies[COOKIE].value
    assert cookie == request.session.session_key
    return cookie


def anonymous(**data: Any) -> str:
    store = SessionStore()
    store.update(data)
    store.save()
    return str(store.session_key)


def signed_in(user: User) -> str:
    request = request_with(None)
    login(request, user, BACKEND)
    return finished_key(request)


def user_of(key: str) -> Any:
    return SessionStore(key).get(SESSION_KEY)


def count(user: User) -> int:
    return sessions.sync.count(str(user.pk))


def test_a_login_over_http_is_listed_under_the_user(client: Client, ada: User) -> None:
    client.post("/accounts/login/", {"username": "ada", "password": "ada's"})
    (info,) = sessions.sync.list(str(ada.pk), current=client.cookies[COOKIE].value)
    assert info.is_current
    assert "Signed in as ada" in client.get("/").content.decode()


def test_receivers_of_user_logged_in_see_the_final_id(ada: User, grace: User) -> None:
    """In login()'s flush branch too."""
    seen: list[str | None] = []

    def note(request: HttpRequest, **kwargs: Any) -> None:
        seen.append(request.session.session_key)

    user_logged_in.connect(note)
    try:
        for key in (None, anonymous(cart=1), signed_in(grace)):
            request = request_with(key)
            login(request, ada, BACKEND)
            assert finished_key(request) == seen[-1] != key
    finally:
        user_logged_in.disconnect(note)
    assert count(grace) == 0


def test_alogin_and_alogout_do_the_same(async_client: AsyncClient, ada: User) -> None:
    async def walk() -> None:
        await async_client.aforce_login(ada)
        assert await sessions.count(str(ada.pk)) == 1
        response = await async_client.get("/")
        assert "Signed in as ada" in response.content.decode()
        await async_client.alogout()
        assert await sessions.count(str(ada.pk)) == 0

    async_to_sync(walk)()


def test_logout_ends_the_session(ada: User) -> None:
    key = signed_in(ada)
    request = request_with(key)
    logout(request)
    assert finish(request).cookies[COOKIE].value == ""
    assert user_of(key) is None
    assert count(ada) == 0


def test_a_login_keeps_the_anonymous_data(ada: User) -> None:
    request = request_with(anonymous(cart=[1]))
    login(request, ada, BACKEND)
    assert SessionStore(finished_key(request)).get("cart") == [1]


def test_a_login_as_another_user_drops_the_data_and_the_session(ada: User, grace: User) -> None:
    old = signed_in(ada)
    request = request_with(old)
    request.session["private"] = 1
    login(request, grace, BACKEND)
    key = finished_key(request)
    assert SessionStore(key).get("private") is None
    assert (count(ada), count(grace)) == (0, 1)
    assert user_of(old) is None


@pytest.mark.parametrize("sign_in", [login, async_to_sync(alogin)], ids=["login", "alogin"])
def test_who_signs_in_again_gets_a_new_id(ada: User, sign_in: Any) -> None:
    old = signed_in(ada)
    request = request_with(old)
    sign_in(request, ada, BACKEND)
    new = finished_key(request)
    assert new != old
    assert (user_of(old), user_of(new)) == (None, str(ada.pk))
    assert count(ada) == 1


@pytest.mark.parametrize("is_begun", [False, True], ids=["renewed", "begun"])
def test_an_id_that_this_request_made_is_new_enough(ada: User, is_begun: bool) -> None:
    """As where somebody signs up, and a receiver saves the session."""
    request = request_with(None if is_begun else signed_in(ada))
    if is_begun:
        request.session[SESSION_KEY] = str(ada.pk)
        request.session.save()
    else:
        request.session.cycle_key()
    key = request.session.session_key
    user_logged_in.send(sender=User, request=request, user=ada)
    assert finished_key(request) == key


def test_a_first_sign_in_gets_one_new_id(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "django_jam_sessions.audit")
    request = request_with(anonymous(cart=[1]))
    caplog.clear()
    login(request, ada, BACKEND)
    finish(request)
    assert [record.__dict__["event"] for record in caplog.records] == ["reworked", "created"]


def test_who_is_signed_out_while_signing_in_again_is_signed_in(ada: User) -> None:
    """As where the button is clicked twice."""
    old = signed_in(ada)
    first, second = request_with(old), request_with(old)
    login(first, ada, BACKEND)
    login(second, ada, BACKEND)
    assert [user_of(finished_key(each)) for each in (first, second)] == [str(ada.pk)] * 2
    assert user_of(old) is None


def test_a_token_for_another_user_leaves_the_session_alone(ada: User, grace: User) -> None:
    """user_logged_in is sent where tokens are given, too."""
    key = signed_in(ada)
    request = request_with(key)
    user_logged_in.send(sender=User, request=request, user=grace)
    assert request.session.session_key == key
    assert user_of(key) == str(ada.pk)


def test_an_impersonation_in_place_moves_the_session(ada: User, grace: User) -> None:
    old = signed_in(ada)
    request = request_with(old)
    request.session[SESSION_KEY] = str(grace.pk)
    key = finished_key(request)
    assert (count(ada), count(grace)) == (0, 1)
    assert (user_of(old), user_of(key)) == (None, str(grace.pk))


def test_a_changed_password_keeps_this_session_alone_valid(ada: User) -> None:
    here, there = signed_in(ada), signed_in(ada)
    request = request_with(here)
    request.user = ada
    ada.set_password("new")
    ada.save()
    update_session_auth_hash(request, ada)
    key = finished_key(request)
    for cookie, name in ((key, "ada"), (here, None), (there, None)):
        client = Client()
        client.cookies[COOKIE] = cookie
        text = client.get("/").content.decode()
        assert ("Signed in as ada" in text) == (name == "ada")


def test_a_fallback_of_the_secret_key_upgrades_the_session(ada: User, settings: Any) -> None:
    """get_user() cycles the key and stores the new hash: nobody is signed out."""
    key = signed_in(ada)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a-new-secret-key-of-the-tests-that-is-long-enough-for-the-checks"
    client = Client()
    client.cookies[COOKIE] = key
    assert "Signed in as ada" in client.get("/").content.decode()
    new = client.cookies[COOKIE].value
    assert new != key
    settings.SECRET_KEY_FALLBACKS = []
    assert "Signed in as ada" in client.get("/").content.decode()
    assert user_of(key) is None


# A request in flight that still carries the anonymous id


def test_a_save_before_the_login_is_kept(ada: User) -> None:
    key = anonymous(cart=[1])
    logging_in, other = request_with(key), request_with(key)
    other.session["seen"] = 1
    assert finished_key(other) == key
    login(logging_in, ada, BACKEND)
    store = SessionStore(finished_key(logging_in))
    assert (store["seen"], store["cart"]) == (1, [1])
    assert count(ada) == 1


def test_a_save_during_the_login_is_refused_and_harms_nobody(ada: User) -> None:
    """Between cycle_key() and the response the anonymous id is dead already."""
    key = anonymous(cart=[1])
    logging_in, other = request_with(key), request_with(key)
    login(logging_in, ada, BACKEND)
    other.session["seen"] = 1
    with pytest.raises(UpdateError):
        other.session.save()
    new = finished_key(logging_in)
    assert user_of(new) == str(ada.pk)
    assert SessionStore().exists(key) is False
    assert count(ada) == 1


def test_a_save_after_the_login_is_refused_and_harms_nobody(ada: User) -> None:
    key = anonymous(cart=[1])
    logging_in, other = request_with(key), request_with(key)
    login(logging_in, ada, BACKEND)
    new = finished_key(logging_in)
    other.session["seen"] = 1
    with pytest.raises(UpdateError):
        other.session.save()
    late = request_with(key)  # it reads nothing, so it writes a session of its own
    late.session["seen"] = 1
    assert user_of(finished_key(late)) is None
    assert user_of(new) == str(ada.pk)
    assert SessionStore().exists(key) is False


def test_a_double_clicked_login_is_two_sessions_and_no_error(ada: User) -> None:
    key = anonymous(cart=[1])
    first, second = request_with(key), request_with(key)
    login(first, ada, BACKEND)
    login(second, ada, BACKEND)
    keys = [finished_key(first), finished_key(second)]
    assert [user_of(each) for each in keys] == [str(ada.pk)] * 2
    assert [SessionStore(each).get("cart") for each in keys] == [[1], [1]]
    assert count(ada) == 2
    assert SessionStore().exists(key) is False


def test_a_write_between_the_parts_of_a_login_is_merged(ada: User) -> None:
    """Who learned the id that cycle_key() made, as an inclusion of the page may, loses nothing."""
    request = request_with(anonymous(cart=[1]))
    request.session.cycle_key()
    other = request_with(request.session.session_key)
    other.session["seen"] = 1
    other.session.save()
    request.session[SESSION_KEY] = str(ada.pk)
    store = SessionStore(finished_key(request))
    assert (store["seen"], store["cart"], store[SESSION_KEY]) == (1, [1], str(ada.pk))


def test_sign_out_everywhere_during_a_request_is_final(ada: User) -> None:
    request = request_with(signed_in(ada))
    sessions.sync.clear(str(ada.pk))
    request.session["late"] = 1
    with pytest.raises(UpdateError):
        request.session.save()
    assert count(ada) == 0


# Users who go


def test_a_deleted_user_loses_every_session_at_once(
    ada: User, django_capture_on_commit_callbacks: Any
) -> None:
    keys = [signed_in(ada), signed_in(ada)]
    with django_capture_on_commit_callbacks(execute=True):
        ada.delete()
    assert [SessionStore().exists(key) for key in keys] == [False, False]


def test_an_inactive_user_loses_every_session_at_once(
    ada: User, grace: User, django_capture_on_commit_callbacks: Any
) -> None:
    keys, other = [signed_in(ada), signed_in(ada)], signed_in(grace)
    ada.is_active = False
    with django_capture_on_commit_callbacks(execute=True):
        ada.save()
        grace.save()
    assert [SessionStore().exists(key) for key in keys] == [False, False]
    assert SessionStore().exists(other) is True


@pytest.mark.parametrize("end", ["delete", "disable"])
def test_a_user_who_goes_as_one_of_a_proxy_loses_every_session(
    ada: User, grace: User, django_capture_on_commit_callbacks: Any, end: str
) -> None:
    with isolate_apps("testproject"):

        class Member(User):
            class Meta:
                proxy = True
                app_label = "testproject"

    receivers.connect()  # as when the site's models have been loaded
    key, other = signed_in(ada), signed_in(grace)
    member = Member.objects.get(pk=ada.pk)
    member.is_active = False
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        member.save() if end == "disable" else member.delete()
    assert [SessionStore().exists(each) for each in (key, other)] == [False, True]
    assert len(callbacks) == 1


def test_a_user_without_sessions_goes_without_noise(
    ada: User, django_capture_on_commit_callbacks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        ada.delete()
    assert caplog.records == []


def test_a_user_goes_even_where_the_store_is_out(
    ada: User,
    django_capture_on_commit_callbacks: Any,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": "redis://127.0.0.1:1/0"}
    with django_capture_on_commit_callbacks(execute=True):
        ada.delete()
    assert "could not be ended" in caplog.text


def test_other_keys_are_not_taken_for_users(
    ada: User, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """Where a function names the key, a user's pk may be a tenant's."""
    sessions.sync.create(str(ada.pk), {})
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": lambda data: "x"}
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        ada.delete()
    assert callbacks == []


@pytest.mark.parametrize("function", [None, lambda data: data.get(SESSION_KEY)])
def test_who_signs_in_where_the_owner_was_removed_meanwhile_gets_a_new_id(
    settings: Any, function: Any
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": function}
    key = signed_in_key("5")
    one, other = SessionStore(key), SessionStore(key)
    for store in (one, other):
        store.load()
    del one[SESSION_KEY]
    one.save()
    other.clear()
    other[SESSION_KEY] = "5"
    other.save()
    assert other.session_key != key
    assert not SessionStore().exists(key)
    assert SessionStore(other.session_key)[SESSION_KEY] == "5"


def signed_in_key(owner: str) -> str:
    store = SessionStore()
    store[SESSION_KEY] = owner
    store.save()
    key: str | None = store.session_key
    assert key is not None
    return key


def test_an_own_password_saved_during_an_impersonation_ends_not_the_session(
    ada: User, grace: User
) -> None:
    """It is still ada's until it is saved."""
    request = request_with(signed_in(ada))
    request.session[SESSION_KEY] = str(grace.pk)
    token = current_request.set(request)
    try:
        receivers._end(str(ada.pk), keeps_current=True)
    finally:
        current_request.reset(token)
    assert user_of(finished_key(request)) == str(grace.pk)


def test_behind_djangos_middleware_a_new_password_keeps_the_session_that_set_it(
    ada: User, settings: Any
) -> None:
    """Whose request it is nobody knows there."""
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware"
        if path == "django_jam_sessions.middleware.SessionMiddleware"
        else path
        for path in settings.MIDDLEWARE
    ]
    here, there = signed_in(ada), signed_in(ada)
    request = request_with(here)
    request.user = ada
    ada.set_password("new")
    ada.save()
    update_session_auth_hash(request, ada)
    key = finished_key(request)
    for cookie, name in ((key, "ada"), (here, None), (there, None)):
        client = Client()
        client.cookies[COOKIE] = cookie
        text = client.get("/").content.decode()
        assert ("Signed in as ada" in text) == (name == "ada")
