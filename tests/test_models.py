"""The models that stand for sessions: nothing of Django's ever reaches a session through them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection

from django_jam_sessions import sessions
from django_jam_sessions.models import Key, Session, key_at, path_of
from django_jam_sessions.text import printable

pytestmark = pytest.mark.django_db


@pytest.fixture
def a_session(jam_settings: Any) -> None:
    sessions.sync.create("5", {})


def out(*arguments: str, **options: Any) -> str:
    text = io.StringIO()
    call_command(*arguments, stdout=text, **options)
    return text.getvalue()


@pytest.mark.parametrize("model", [Key, Session])
def test_managers_find_nothing_and_ask_no_database(
    model: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        for manager in (model.objects, model._default_manager, model._base_manager):
            assert list(manager.all()) == []
            assert manager.filter(pk="5").count() == 0


@pytest.mark.usefixtures("a_session")
def test_dumpdata_meets_no_session() -> None:
    assert "jam_sessions." not in out("dumpdata", "--all", verbosity=0)


@pytest.mark.usefixtures("a_session")
def test_loaddata_takes_what_dumpdata_wrote(tmp_path: Any) -> None:
    Group.objects.create(name="staff")
    path = tmp_path / "all.json"
    path.write_text(out("dumpdata", "--all", "--exclude=contenttypes", "--exclude=auth.permission"))
    call_command("loaddata", str(path), verbosity=0)
    assert sessions.sync.count("5") == 1


def test_migrations_are_complete_and_make_no_table() -> None:
    call_command("makemigrations", "jam_sessions", "--check", "--dry-run", verbosity=0)
    names = connection.introspection.table_names()
    assert not [name for name in names if name.startswith("jam_sessions")]


def test_migrate_makes_the_permissions() -> None:
    found = Permission.objects.filter(content_type__app_label="jam_sessions")
    assert set(found.values_list("codename", flat=True)) == {
        "add_session",
        "change_session",
        "delete_session",
        "view_session",
        "view_session_data",
    }


@pytest.mark.parametrize("key", ["17", ".", "..", "%2E", "_2E", "a b/c:d", 'q"\n\r', "ключ", "\0"])
def test_a_key_comes_back_from_its_path(key: str) -> None:
    path = path_of(key)
    assert key_at(path) == key
    assert path.isascii()
    assert path.isprintable()
    assert path not in (".", "..")


def test_a_key_is_shown_so_that_it_can_be_read() -> None:
    shown = {key: printable(key) for key in ("17", "ключ", "a\nb", "\u202e17", " ", "a ")}
    assert list(shown.values()) == ["17", "ключ", r"a\nb", r"\u202e17", "' '", "'a '"]
