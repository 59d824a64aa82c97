"""What the pages in docs/ show is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client, RequestFactory
from django.urls import path

from django_jam_sessions import sessions
from django_jam_sessions.signals import session_created

DOCS = Path(__file__).parent.parent / "docs"


def snippets(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


def test_the_proxies_setting_works() -> None:
    scope: dict[str, Any] = {}
    exec(snippets("devices.md")[0], scope)
    request = RequestFactory().get("/", headers={"x-forwarded-for": "10.0.0.1, 203.0.113.9"})
    assert scope["JAM_SESSIONS"]["CLIENT_IP"](request) == "203.0.113.9"


def test_the_pages_are_included() -> None:
    scope: dict[str, Any] = {}
    exec(snippets("pages.md")[0], scope)
    (pattern,) = scope["urlpatterns"]
    assert pattern.resolve("account/sessions/").view_name == "jam_sessions:list"


def test_the_link_is_mixed_in() -> None:
    scope: dict[str, Any] = {}
    exec(snippets("admin.md")[0], scope)
    registered = admin.site.get_model_admin(get_user_model())
    assert type(registered) is scope["UserWithSessionsAdmin"]


@pytest.mark.django_db
def test_an_admin_site_of_ones_own_has_the_sessions(jam_settings: Any) -> None:
    scope: dict[str, Any] = {}
    exec(snippets("admin.md")[1], scope)
    jam_settings.ROOT_URLCONF = (
        path("admin/", admin.site.urls),
        path("support/", scope["site"].urls),
    )
    sessions.sync.create("5", {})
    (info,) = sessions.sync.list("5")
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("boss"))
    for url in (
        "key/",
        "session/?session_key=5",
        "session/%s/change/" % info.handle,
        "session/%s/delete/" % info.handle,
        "key/5/delete/",
    ):
        page = client.get("/support/jam_sessions/" + url).content.decode()
        assert "/support/jam_sessions/key/" in page
        assert '"/admin/' not in page
    response = client.post("/support/jam_sessions/key/5/delete/", {"post": "yes"})
    assert response.headers["Location"] == "/support/jam_sessions/key/"


@pytest.mark.django_db
def test_a_user_is_mailed_of_a_new_device_once(jam_settings: Any, mailoutbox: Any) -> None:
    # Django 6.1 asks for it; before, it means nothing.
    jam_settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    scope: dict[str, Any] = {}
    exec(snippets("devices.md")[1], scope)
    try:
        get_user_model().objects.create_user("ada", "ada@example.com", "secret")
        for agent in ("curl/8", "curl/8", "wget/1"):
            client = Client(headers={"user-agent": agent})
            client.post("/accounts/login/", {"username": "ada", "password": "secret"})
    finally:
        session_created.disconnect(scope["tell_of_a_new_device"])
    assert [mail.body for mail in mailoutbox] == [
        "You have signed in with curl.",
        "You have signed in with wget/1.",
    ]
