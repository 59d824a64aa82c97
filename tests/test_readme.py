"""The README's snippets are run; its length and order are kept."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.management import call_command

from django_jam_sessions import sessions
from django_jam_sessions.checks import DJANGOS_MIDDLEWARE, check_settings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(r"```%s\n(.*?)```" % language, TEXT, re.DOTALL)


def test_it_is_short_and_in_order() -> None:
    assert len(TEXT.splitlines()) <= 150
    assert re.findall(r"^## (.*)$", TEXT, re.MULTILINE) == [
        "Try it, test it",
        "Installation",
        "SessionModule",
        "What people see",
        "Settings",
        "Commands",
        "Speed",
        "Your own backend",
        "How it differs from Django's own engines",
    ]


def test_the_two_commands_are_the_makefiles() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)$", TEXT, re.MULTILINE):
        assert "\n%s:" % target in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_settings_are_valid(settings: Any, redis_uri: str, prefix: str) -> None:
    installation, _, backend = snippets("python")
    for snippet in (installation, backend):
        scope: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": ["", DJANGOS_MIDDLEWARE]}
        exec(snippet, scope)
        settings.JAM_SESSIONS = scope["JAM_SESSIONS"]
        assert check_settings() == []
    exec(installation, scope)
    assert (scope["SESSION_ENGINE"], scope["INSTALLED_APPS"]) == (
        settings.SESSION_ENGINE,
        ["django_jam_sessions"],
    )
    assert scope["MIDDLEWARE"][1] in settings.MIDDLEWARE


@pytest.mark.django_db
def test_the_module_does_what_is_shown(jam_settings: Any) -> None:
    scope: dict[str, Any] = {}
    exec(snippets("python")[1], scope)
    user = get_user_model().objects.create_user("ada")
    assert async_to_sync(scope["device"])(user) == {"device": "tablet"}
    assert sessions.sync.count(str(user.pk)) == 1


@pytest.mark.django_db
def test_the_commands_run(jam_settings: Any) -> None:
    user = get_user_model().objects.create_user("ada")
    sessions.sync.create(str(user.pk), {})
    (shell,) = snippets("shell")
    for line in shell.splitlines():
        program, manage, *arguments = shlex.split(line, comments=True)
        assert (program, manage) == ("python", "manage.py")
        call_command(*arguments, stdout=io.StringIO())
    assert sessions.sync.count(str(user.pk)) == 0
