"""The settings: defaults, dotted paths, and that they are read when they are needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_jam_sessions import SessionModule, sessions
from django_jam_sessions.conf import conf
from django_jam_sessions.configured import configured


def run_python(code: str) -> str:
    """A process of its own, in which nothing of Django is set up."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_everything_has_a_default(settings: Any, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    del settings.JAM_SESSIONS
    session_id = sessions.sync.create("5", {"a": 1})
    assert sessions.sync.get(session_id) == {"a": 1}
    assert (tmp_path / ".jam_sessions").is_dir()


def test_the_library_needs_no_apps_and_no_settings(tmp_path: Path) -> None:
    code = """if True:
        from django_jam_sessions import SessionModule, SessionNotFoundError, sessions
        module = SessionModule("json", json_path=%r, is_session_crypt=True,
                               session_aes_secret=b"s" * 32)
        print(module.sync.get(module.sync.create("5", {"a": 1})))
    """
    assert run_python(code % str(tmp_path / "x")) == "{'a': 1}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("'json'", "needs a json_path"), ("'json', json_path='x', is_session_crypt=True", "secret")],
)
def test_what_only_settings_could_tell_must_be_given(arguments: str, message: str) -> None:
    code = """if True:
        from django_jam_sessions import SessionModule
        try:
            SessionModule(%s)
        except Exception as error:
            print(type(error).__name__, error)
    """
    printed = run_python(code % arguments)
    assert printed.startswith("ImproperlyConfigured")
    assert message in printed


def test_settings_are_read_when_they_are_needed(tmp_path: Path) -> None:
    before = configured.current()
    with override_settings(JAM_SESSIONS={"JSON_PATH": tmp_path / "x", "SESSION_TTL": 5}):
        assert configured.current() is not before
        assert conf.session_ttl == 5
    assert conf.session_ttl is None
    with override_settings(TIME_ZONE="Europe/Berlin"):
        kept = configured.current()
    assert configured.current() is kept


def test_secrets_follow_djangos(settings: Any, tmp_path: Path) -> None:
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "x", "IS_SESSION_CRYPT": True}
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old" * 20, []
    session_id = sessions.sync.create("5", {"a": 1})
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, ["old" * 20]
    assert sessions.sync.get(session_id) == {"a": 1}
    settings.SECRET_KEY_FALLBACKS = []
    assert sessions.sync.get(session_id, None) is None


def test_a_modules_ttl_is_djangos_unless_it_is_set(settings: Any, tmp_path: Path) -> None:
    settings.SESSION_COOKIE_AGE = 77
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "x"}
    assert configured.current()._steps.ttl == 77_000
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "x", "SESSION_TTL": 5}
    assert configured.current()._steps.ttl == 5_000


def make_client(is_async: bool) -> Any:
    import redis.asyncio

    library: Any = redis.asyncio if is_async else redis
    return library.Redis.from_url(make_client.uri)  # type: ignore[attr-defined]


def test_a_function_may_make_the_client(settings: Any, redis_uri: str, prefix: str) -> None:
    import asyncio

    make_client.uri = redis_uri  # type: ignore[attr-defined]
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "redis",
        "REDIS_URI": "tests.test_conf.make_client",
        "SESSIONS_PATH": prefix,
    }
    session_id = sessions.sync.create("5", {"a": 1})
    assert asyncio.run(sessions.get(session_id)) == {"a": 1}


def test_a_custom_backend_gets_what_its_class_takes(settings: Any, tmp_path: Path) -> None:
    settings.JAM_SESSIONS = {
        "SESSIONS_TYPE": "custom",
        "CUSTOM_MODULE": "testproject.backends.SQLiteBackend",
        "SQLITE_PATH": str(tmp_path / "x.sqlite3"),
        "SESSION_TTL": 5,
        "JSON_PATH": "of the other backend, and no harm",
    }
    assert sessions.sync.get(sessions.sync.create("5", {"a": 1})) == {"a": 1}
    assert (tmp_path / "x.sqlite3").exists()


def test_a_redis_client_that_decodes_is_refused(redis_uri: str) -> None:
    def decoding(is_async: bool) -> Any:
        import redis

        return redis.Redis.from_url(redis_uri, decode_responses=True)

    for uri in (redis_uri + "?decode_responses=true", decoding, lambda is_async: None):
        with pytest.raises(ImproperlyConfigured, match="redis_uri"):
            SessionModule("redis", redis_uri=uri).sync.get("0" * 40, None)
