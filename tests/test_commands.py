"""The management commands, on every backend."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from django_jam_sessions import sessions

pytestmark = [pytest.mark.usefixtures("jam_settings"), pytest.mark.django_db]


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=options.pop("stderr", out), **options)
    return out.getvalue()


def make(*keys: str) -> list[str]:
    return [sessions.sync.create(key, {}) for key in keys]


def alive(ids: list[str]) -> list[bool]:
    return [sessions.sync.get(session_id, None) is not None for session_id in ids]


def handle_of(session_id: str, key: str) -> str:
    return next(info.handle for info in sessions.sync.list(key, session_id) if info.is_current)


def test_clear_ends_the_sessions_of_a_key() -> None:
    ids = make("5", "5", "6")
    assert run("clearsessions_by_key", "5") == "5: 2 sessions ended\n"
    assert alive(ids) == [False, False, True]


def test_clear_takes_users_by_name() -> None:
    ada = get_user_model().objects.create_user("ada")
    ids = make(str(ada.pk), "other")
    assert run("clearsessions_by_key", "--user", "ada") == "%s: 1 session ended\n" % ada.pk
    assert alive(ids) == [False, True]
    with pytest.raises(CommandError, match="no user named 'bob'"):
        run("clearsessions_by_key", "--user", "bob")


def test_clear_by_user_needs_keys_that_are_users(settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": lambda data: "x"}
    with pytest.raises(CommandError, match="SESSION_KEY"):
        run("clearsessions_by_key", "--user", "ada")


def test_clear_all_ends_every_key() -> None:
    ids = make(*[str(number) for number in range(30)])
    lines = run("clearsessions_by_key", "--all", "--noinput").splitlines()
    assert len(lines) == 30
    assert not any(alive(ids))
    assert run("clearsessions_by_key", "--all", "--noinput") == ""


def test_clear_keeps_the_one_that_is_named() -> None:
    ids = make("5", "5", "6")
    kept = handle_of(ids[0], "5")
    assert "5: 1 session ended" in run(
        "clearsessions_by_key", "5", "6", "--except", kept, "--noinput"
    )
    assert alive(ids) == [True, False, False]
    assert run("clearsessions_by_key", "5", "--except", kept) == "5: 0 sessions ended\n"
    with pytest.raises(CommandError, match="none of these keys"):
        run("clearsessions_by_key", "6", "--except", kept)
    assert alive(ids) == [True, False, False]


def test_a_dry_run_ends_nothing_and_asks_nothing() -> None:
    ids = make("5", "6")
    assert "5: 1 session would be ended" in run("clearsessions_by_key", "5", "6", "--dry-run")
    assert all(alive(ids))


@pytest.mark.parametrize(
    ("answer", "is_ended"), [("y", True), ("YES", True), ("n", False), ("", False)]
)
def test_more_than_one_key_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, answer: str, is_ended: bool
) -> None:
    ids = make("5", "6")
    asked: list[str] = []

    def reply(text: str) -> str:
        asked.append(text)
        return answer

    monkeypatch.setattr("builtins.input", reply)
    if is_ended:
        run("clearsessions_by_key", "5", "6")
    else:
        with pytest.raises(CommandError, match=r"Nothing was ended\."):
            run("clearsessions_by_key", "5", "6")
    assert asked == ["End the sessions of 2 keys? [y/N] "]
    assert alive(ids) == [not is_ended] * 2


def test_nobody_to_ask_is_an_error_that_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    make("5", "6")

    def nobody(text: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(CommandError, match="--noinput"):
        run("clearsessions_by_key", "5", "6")


def test_a_key_without_sessions_fails_after_the_others() -> None:
    ids = make("5")
    with pytest.raises(CommandError, match=r"No sessions: 7, 8\.") as error:
        run("clearsessions_by_key", "7", "5", "8", "--noinput")
    assert error.value.returncode == 1
    assert alive(ids) == [False]
    assert run("clearsessions_by_key", "7", "--ignore-missing") == ""


@pytest.mark.parametrize("arguments", [[], ["5", "--all"], ["--user", "ada", "--all"]])
def test_one_way_to_name_keys_is_needed(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="Give session keys"):
        run("clearsessions_by_key", *arguments)


@pytest.mark.parametrize("key", ["", "x" * 256, "\ud800"])
def test_what_is_no_key_is_an_error_before_anything_is_ended(key: str) -> None:
    ids = make("5")
    with pytest.raises(CommandError, match="session key"):
        run("clearsessions_by_key", "5", key, "--noinput")
    assert alive(ids) == [True]


def test_long_work_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "django_jam_sessions.management.commands.clearsessions_by_key"
    monkeypatch.setattr(module + ".PROGRESS_SECONDS", -1.0)
    make("5", "6")
    err = io.StringIO()
    run("clearsessions_by_key", "5", "6", "--noinput", stderr=err)
    assert "1 of 2 keys" in err.getvalue()


def test_an_outage_is_an_error_not_a_traceback(settings: Any) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": "redis://127.0.0.1:1/0"}
    for command in ("clearsessions_by_key", "listsessions_by_key"):
        with pytest.raises(CommandError, match="Redis did not answer"):
            run(command, "5")


def test_list_shows_a_table() -> None:
    ids = make("5", "a key\nwith\tcontrols\x1b[31m")
    text = run("listsessions_by_key")
    header, *rows = text.splitlines()
    assert header.split() == ["KEY", "HANDLE", "CREATED", "LAST", "SEEN", "EXPIRES"]
    assert len(rows) == 2
    assert "\x1b" not in text
    assert handle_of(ids[0], "5") in text
    assert not any(session_id in text for session_id in ids)
    assert len(run("listsessions_by_key", "5").splitlines()) == 2
    assert run("listsessions_by_key", "nobody") == "No sessions.\n"


def test_list_speaks_to_machines() -> None:
    ids = make("5", "5", "6")
    lines = [json.loads(line) for line in run("listsessions_by_key", "5", "--json").splitlines()]
    assert {line["handle"] for line in lines} == {handle_of(each, "5") for each in ids[:2]}
    for line in lines:
        assert line["session_key"] == "5"
        assert line["created_at"] <= line["last_seen_at"] < line["expires_at"]


def test_list_knows_sessions_that_never_end(settings: Any) -> None:
    from django_jam_sessions.configured import configured

    configured.current()._steps.ttl = None
    make("5")
    assert run("listsessions_by_key", "5").splitlines()[1].endswith("never")
    assert json.loads(run("listsessions_by_key", "5", "--json"))["expires_at"] is None


def test_djangos_clearsessions_works() -> None:
    ids = make("5")
    run("clearsessions")
    assert alive(ids) == [True]
