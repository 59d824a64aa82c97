"""What docs/security.md claims and no other test shows."""

from __future__ import annotations

import ast
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.checks.security import sessions as django_checks
from django.test import Client

from django_jam_sessions import codec, sessions
from django_jam_sessions.checks import check_settings
from django_jam_sessions.configured import configured
from django_jam_sessions.deployment_checks import check_deployment
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.steps import run

from .conftest import Face

PACKAGE = Path(__file__).parent.parent / "django_jam_sessions"
PAGE = PACKAGE.parent / "docs" / "security.md"
SOURCES = sorted(PACKAGE.rglob("*.py"))

SECRETS = {"session_id", "new_id", "secret", "secrets", "password", "token", "csrf_token"}


def is_secret(node: ast.expr) -> bool:
    """Whether that may be an id, a secret or a password, by its name."""
    if isinstance(node, ast.Attribute):
        # An "id" is a session's, but for those of secrets, which are public.
        return node.attr in SECRETS or (node.attr == "id" and "secret" not in ast.unparse(node))
    return isinstance(node, ast.Name) and node.id in SECRETS


def compared(source: str) -> list[str]:
    """The comparisons of secrets that are over sooner the sooner these differ."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and any(is_secret(side) for side in (node.left, *node.comparators))
    ]


def test_no_secret_is_compared_in_a_time_that_tells_of_it() -> None:
    """Sessions are found by a hash, seals are checked by cryptography, passwords by Django."""
    assert compared("session_id == x\nx != self.stored.id\na == password\nhash != token") != []
    assert compared("secret.id == x\nlen(secret) == 32\nplace == other") == []
    for path in SOURCES:
        assert compared(path.read_text()) == [], path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_that_is_read_can_become_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [node.func.id]
        assert not {"pickle", "marshal", "shelve", "yaml", "eval", "exec"} & set(names), (
            ast.unparse(node)
        )


def test_an_id_has_129_bits_of_the_systems_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    assert codec.SECRET_LENGTH * math.log2(len(set(codec.ALPHABET))) > 129
    issued = [codec.issue("0" * 15, codec.ENGINE).id for _ in range(10_000)]
    assert len(set(issued)) == 10_000
    assert {len(session_id) for session_id in issued} == {codec.LOCATOR_LENGTH + 25}
    monkeypatch.setattr(os, "urandom", lambda length: bytes(range(length)))
    alike = {codec.issue("0" * 15, codec.ENGINE).id for _ in range(10)}
    assert len(alike) == 1  # so nothing but the system's makes an id what it is


@pytest.mark.django_db
def test_an_id_is_taken_from_the_cookie_alone(jam_settings: Any) -> None:
    user = get_user_model().objects.create_user("ada")
    ada, other = Client(), Client()
    ada.force_login(user)
    session_id = ada.cookies["sessionid"].value
    form = {"sessionid": session_id}
    headers = {"session-id": session_id, "authorization": "Bearer " + session_id}
    for response in (
        other.get("/", form, headers=headers),
        other.post("/", form, headers=headers),
    ):
        assert b"Signed in" not in response.content
    assert b"Signed in as ada" in ada.get("/").content


@pytest.mark.django_db
def test_a_visit_stores_nothing(jam_settings: Any) -> None:
    client = Client()
    for path in ("/", "/accounts/login/"):
        assert client.get(path).status_code == 200
    assert "sessionid" not in client.cookies
    module = configured.current()
    keys, anonymous, _ = run(module.backend, module.operations.survey(100, None))
    assert (list(keys), anonymous) == ([], 0)


def test_the_limit_does_not_count_what_is_nobodys(jam_settings: Any, call: Face) -> None:
    jam_settings.JAM_SESSIONS = {**jam_settings.JAM_SESSIONS, "MAX_SESSIONS_PER_KEY": 1}
    stores = [SessionStore() for _ in range(3)]
    for store in stores:
        call(store, "update", {"cart": [1]})
        call(store, "save")
    assert [call(store, "exists", store.session_key) for store in stores] == [True] * 3


@pytest.mark.django_db
def test_the_settings_shown_are_sound(settings: Any, tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(snippet, scope)
    for name in scope.keys() - {"__builtins__"}:
        setattr(settings, name, scope[name])
    settings.JAM_SESSIONS = {**scope["JAM_SESSIONS"], "JSON_PATH": tmp_path / "sessions"}
    assert check_settings() == []
    found = {message.id for message in check_deployment()}
    assert found <= {"jam_sessions.W004"}  # the machine of the tests may look like several
    assert django_checks.check_session_cookie_secure(None) == []
    assert django_checks.check_session_cookie_httponly(None) == []
    user = get_user_model().objects.create_user("ada", password="ada's")
    form = {"username": "ada", "password": "ada's"}
    client = Client()
    assert client.post("/accounts/login/", form).headers["Location"].startswith("https:")
    assert client.post("/accounts/login/", form, secure=True).status_code == 302
    cookie = client.cookies["__Host-id"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["domain"], cookie["path"], cookie["max-age"]) == ("", "/", "")
    (info,) = sessions.sync.list(str(user.pk), current=cookie.value)
    assert info.is_current
    assert info.expires_at is not None
    assert (info.expires_at - info.created_at).total_seconds() == pytest.approx(3600, abs=5)
    assert sessions.operations.policy.absolute_ttl == 24 * 3600 * 1000
