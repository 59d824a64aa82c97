"""Each way to get the settings wrong has a check with an id of its own."""

from __future__ import annotations

import builtins
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.checks.security import sessions as django_checks

from django_jam_sessions.backends.directory import directory_problem
from django_jam_sessions.checks import DJANGOS_MIDDLEWARE, check_settings
from django_jam_sessions.conf import NAMES
from django_jam_sessions.deployment_checks import check_deployment

SETTINGS = Path(__file__).parent.parent / "docs" / "settings.md"


def ids(found: Any) -> list[str]:
    return [message.id for message in found]


def test_the_test_project_is_clean(settings: Any) -> None:
    assert check_settings() == []
    settings.JAM_SESSIONS = {}
    settings.BASE_DIR = Path("/tmp")
    assert check_settings() == []


NO_BACKEND = "tests.test_checks.NoBackend"


class NoBackend:
    def fetch(self) -> None:
        """One method is not the contract."""


@pytest.mark.parametrize(
    ("jam_sessions", "check_id", "text"),
    [
        ([], "E001", "must be a dict"),
        ({1: 2}, "E001", "unknown key: 1"),
        ({"SESSION_TIL": 5}, "E001", "'SESSION_TIL'"),
        ({"SESSIONS_TYPE": "memcached"}, "E002", "'redis', 'json', 'custom'"),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": "tcp://x"}, "E003", "redis_uri"),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": "redis://x?no=1"}, "E003", None),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": "redis://x/abc"}, "E003", "redis_uri"),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": "redis+sentinel://x"}, "E003", "redis_uri"),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": "redis+cluster://"}, "E003", "redis_uri"),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": "no.such.path"}, "E003", "REDIS_URI"),
        ({"SESSIONS_TYPE": "redis", "SESSIONS_PATH": "a b"}, "E003", "sessions_path"),
        ({"SESSIONS_TYPE": "redis", "SESSIONS_PATH": 3}, "E003", "sessions_path must consist of"),
        ({"SESSIONS_TYPE": "redis", "MAX_SESSIONS_PER_KEY": 0}, "E016", "above 0"),
        ({"IS_SESSION_CRYPT": True, "SESSION_AES_SECRET": b"short"}, "E004", "32 bytes"),
        ({"IS_SESSION_CRYPT": "false"}, "E004", "must be a bool"),
        ({"SESSION_AES_SECRET": "s" * 43}, "W006", "IS_SESSION_CRYPT is not True"),
        ({"REDIS_URI": "redis://x"}, "W006", "SESSIONS_TYPE is 'json'"),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": ""}, "E003", "begins with one of redis://"),
        ({"SESSIONS_TYPE": "redis", "REDIS_URI": "127.0.0.1:6379"}, "E003", "begins with one of"),
        ({"SESSIONS_TYPE": "redis", "JSON_PATH": "/x"}, "W006", "SESSIONS_TYPE is 'redis'"),
        ({"IS_SESSION_CRYPT": True, "SESSION_AES_SECRET": "no base64!"}, "E004", "base64"),
        ({"JSON_PATH": "/dev/null/sessions"}, "E005", "/dev/null is not writable"),
        ({"JSON_PATH": __file__}, "E005", "not a directory"),
        ({"JSON_PATH": 3}, "E005", "the path of a directory"),
        ({"JSON_PATH": b"/tmp"}, "E005", "the path of a directory"),
        ({"JSON_PATH": "a\0b"}, "E005", "the path of a directory"),
        ({"JSON_PATH": Path(__file__).parent}, "E005", "holds other files"),
        ({"SESSIONS_TYPE": "custom"}, "E006", "must be a class"),
        ({"SESSIONS_TYPE": "custom", "CUSTOM_MODULE": NO_BACKEND}, "E006", "lacks acount"),
        (
            {
                "SESSIONS_TYPE": "custom",
                "CUSTOM_MODULE": "testproject.backends.SQLiteBackend",
                "COLOUR": "red",
            },
            "E006",
            "SQLiteBackend",
        ),
        ({"ID_FACTORY": "no.such.path"}, "E007", "ID_FACTORY"),
        ({"ID_FACTORY": 5}, "E007", "can't be called"),
        ({"SESSION_KEY": "django.VERSION"}, "E008", "can't be called"),
        ({"SESSION_TTL": -1}, "E009", "above 0"),
        ({"SESSION_TTL": float("inf")}, "E009", "above 0"),
        ({"SESSION_TTL": 10**11 + 1}, "E009", "at most 10**11"),
        (
            {"SESSIONS_TYPE": "redis", "CONNECT_TIMEOUT": 0},
            "E017",
            "connect_timeout must be a number of seconds above 0",
        ),
        ({"SESSIONS_TYPE": "redis", "READ_TIMEOUT": "1"}, "E017", "read_timeout"),
        ({"SESSIONS_TYPE": "redis", "TOTAL_TIMEOUT": float("inf")}, "E017", "total_timeout"),
        ({"SESSIONS_TYPE": "redis", "READ_TIMEOUT": 86401}, "E017", "at most 86400"),
        ({"SESSIONS_TYPE": "redis", "RETRIES": 2}, "E017", "retries must be 0 or 1"),
        ({"SESSIONS_TYPE": "redis", "RETRIES": True}, "E017", "retries"),
        ({"REAUTHENTICATE": 0}, "E013", "above 0"),
        ({"REAUTHENTICATE": "300"}, "E013", "REAUTHENTICATE must be a number"),
        ({"TOUCH_INTERVAL": "often"}, "E010", "above 0"),
        ({"SLIDING": 1}, "E010", "SLIDING"),
        ({"CLIENT_INFO": "some"}, "E011", "'truncated'"),
        ({"CLIENT_IP": "no.such.path"}, "E011", "CLIENT_IP"),
        ({"CLIENT_IP": "django_jam_sessions.client.behind_proxies"}, "E011", "to be called"),
        ({"END_OTHERS_ON_PASSWORD_CHANGE": None}, "E012", "must be a bool"),
        ({"MAX_DATA_BYTES": 0}, "E014", "above 0"),
        ({"MAX_DATA_BYTES": True}, "E014", "number of bytes"),
        ({"MAX_DATA_BYTES": "1 MB"}, "E014", "number of bytes"),
        ({"ABSOLUTE_TTL": 0}, "E015", "absolute_ttl"),
        ({"ABSOLUTE_TTL": "1h"}, "E015", "number of seconds"),
        ({"MAX_SESSIONS_PER_KEY": 0}, "E016", "above 0"),
        ({"MAX_SESSIONS_PER_KEY": True}, "E016", "a number"),
        ({"MAX_SESSIONS_PER_KEY": "no.such.path"}, "E016", "dotted path"),
        ({"LIMIT_POLICY": "end_newest"}, "E016", "'end_oldest' or 'refuse'"),
        ({"JSON_FSYNC": 1}, "E018", "must be a bool"),
    ],
)
def test_a_mistake_is_an_error(
    settings: Any, tmp_path: Path, jam_sessions: Any, check_id: str, text: str | None
) -> None:
    settings.BASE_DIR = tmp_path
    settings.JAM_SESSIONS = jam_sessions
    (error,) = check_settings()
    assert error.id == "jam_sessions." + check_id
    assert text is None or text in error.msg


def test_an_error_shows_no_password(settings: Any) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": "user:hunter2@host:6379"}
    (error,) = check_settings()
    assert "hunter2" not in str(error)


def test_a_missing_redis_py_is_an_error_that_says_what_to_install(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis"}
    real = builtins.__import__

    def without_redis(name: str, scope: Any = None, *args: Any) -> Any:
        if name == "redis" and args[-1] == 1:
            raise ImportError(name)
        return real(name, scope, *args)

    monkeypatch.setattr(builtins, "__import__", without_redis)
    (error,) = check_settings()
    assert error.id == "jam_sessions.E003"
    assert "django-jam-sessions[redis]" in error.msg


def test_another_engine_is_a_warning(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert ids(check_settings()) == ["jam_sessions.W001"]


@pytest.mark.parametrize(
    ("serializer", "text"),
    [
        ("tests.test_engine.PickleSerializer", "SESSION_SERIALIZER pickles"),
        ("tests.test_engine.NoSuchSerializer", "can't be imported"),
        ("tests.test_engine.OtherSerializer", None),
    ],
)
def test_a_serializer_that_pickles_is_an_error(
    settings: Any, serializer: str, text: str | None
) -> None:
    settings.SESSION_SERIALIZER = serializer
    found = check_settings()
    assert ids(found) == (["jam_sessions.E019"] if text else [])
    assert all(str(text) in error.msg for error in found)
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert ids(check_settings()) == ["jam_sessions.W001"]


def test_without_a_base_dir_json_needs_a_path(settings: Any) -> None:
    settings.JAM_SESSIONS = {}
    settings.BASE_DIR = None
    assert ids(check_settings()) == ["jam_sessions.E005"]


def test_a_directory_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert "other users" in str(directory_problem(tmp_path / "open"))
    (tmp_path / "link").symlink_to(tmp_path)
    assert "not a directory" in str(directory_problem(tmp_path / "link"))
    assert "not writable" in str(directory_problem(Path(__file__) / "x"))
    if os.geteuid() == 0:
        (tmp_path / "other").mkdir()
        os.chown(tmp_path / "other", 4321, 4321)
        assert "another user (uid 4321)" in str(directory_problem(tmp_path / "other"))


def test_two_session_middlewares_are_a_warning(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, DJANGOS_MIDDLEWARE]
    assert ids(check_settings()) == ["jam_sessions.W007"]
    settings.MIDDLEWARE = [DJANGOS_MIDDLEWARE]
    assert check_settings() == []


# check --deploy

TOLD_NOTHING = {"IS_SESSION_CRYPT": True, "ABSOLUTE_TTL": 86400, "REAUTHENTICATE": 900}


@pytest.fixture
def deployed(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A site that has nothing to be told."""
    for variable in ("KUBERNETES_SERVICE_HOST", "DYNO", "FLY_APP_NAME", "K_SERVICE"):
        monkeypatch.delenv(variable, raising=False)
    settings.JAM_SESSIONS = TOLD_NOTHING
    assert list(check_deployment()) == []
    return settings


@pytest.mark.parametrize("value", [False, "None", None])
def test_a_cookie_for_other_sites_requests_is_a_warning(deployed: Any, value: Any) -> None:
    deployed.SESSION_COOKIE_SAMESITE = value
    assert ids(check_deployment()) == ["jam_sessions.W002"]


def test_a_cookie_for_subdomains_is_a_warning(deployed: Any) -> None:
    deployed.SESSION_COOKIE_DOMAIN = "example.com"
    assert ids(check_deployment()) == ["jam_sessions.W003"]


@pytest.mark.filterwarnings("ignore:Overriding setting")
def test_a_cookie_that_can_be_read_is_a_warning_where_django_does_not_look(
    deployed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.SESSION_COOKIE_SECURE = deployed.SESSION_COOKIE_HTTPONLY = False
    assert ids(django_checks.check_session_cookie_secure(None)) == ["security.W010"]
    assert ids(check_deployment()) == []
    apps = [app for app in deployed.INSTALLED_APPS if app != "django.contrib.sessions"]
    monkeypatch.setattr("django_jam_sessions.deployment_checks.settings.INSTALLED_APPS", apps)
    assert django_checks.check_session_cookie_secure(None) == []
    (warning,) = check_deployment()
    assert warning.id == "jam_sessions.W005"
    assert warning.msg == "SESSION_COOKIE_SECURE, SESSION_COOKIE_HTTPONLY: not True."
    deployed.SESSION_COOKIE_SECURE = deployed.SESSION_COOKIE_HTTPONLY = True
    assert ids(check_deployment()) == []


def test_an_unencrypted_store_is_mentioned(deployed: Any) -> None:
    deployed.JAM_SESSIONS = {**TOLD_NOTHING, "IS_SESSION_CRYPT": False}
    (info,) = check_deployment()
    assert (info.id, info.level) == ("jam_sessions.I001", checks.INFO)
    assert "ends every session" in str(info.hint)


def test_sessions_that_a_thief_may_keep_are_mentioned_until_silenced(deployed: Any) -> None:
    for name in ("ABSOLUTE_TTL", "REAUTHENTICATE"):
        deployed.JAM_SESSIONS = {**TOLD_NOTHING, name: None}
        assert list(check_deployment()) == []
    deployed.JAM_SESSIONS = {"IS_SESSION_CRYPT": True}
    (info,) = check_deployment()
    assert (info.id, info.level) == ("jam_sessions.I002", checks.INFO)
    assert not info.is_silenced()
    deployed.SILENCED_SYSTEM_CHECKS = ["jam_sessions.I002"]
    assert info.is_silenced()


DATABASE = {"ENGINE": "django.db.backends.postgresql"}
CACHE = {"BACKEND": "django.core.cache.backends.redis.RedisCache"}


@pytest.mark.parametrize(
    ("name", "value", "is_several"),
    [
        ("DATABASES", {"default": {**DATABASE, "HOST": "db.example.com"}}, True),
        ("DATABASES", {"default": {**DATABASE, "HOST": "localhost"}}, False),
        ("DATABASES", {"default": {**DATABASE, "HOST": "/run/postgresql"}}, False),
        ("CACHES", {"default": {**CACHE, "LOCATION": "redis://cache.example.com"}}, True),
        ("CACHES", {"default": {**CACHE, "LOCATION": ["redis://127.0.0.1", "redis://x"]}}, True),
        ("CACHES", {"default": {**CACHE, "LOCATION": "redis://127.0.0.1:6379"}}, False),
        ("CACHES", {"default": {**CACHE, "LOCATION": Path("/var/cache")}}, False),
        ("CACHES", {"default": {**CACHE, "LOCATION": "redis://[bad"}}, False),
    ],
)
@pytest.mark.filterwarnings("ignore:Overriding setting")
def test_json_on_what_looks_like_several_hosts_is_a_warning(
    deployed: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, is_several: bool
) -> None:
    monkeypatch.setattr("django_jam_sessions.checks.settings." + name, value)
    assert ids(check_deployment()) == (["jam_sessions.W004"] if is_several else [])


def test_json_in_a_cluster_is_a_warning(deployed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert ids(check_deployment()) == ["jam_sessions.W004"]
    deployed.JAM_SESSIONS = {**TOLD_NOTHING, "SESSIONS_TYPE": "redis"}
    assert list(check_deployment()) == []


def test_what_is_wrong_anyway_is_said_once(deployed: Any) -> None:
    deployed.JAM_SESSIONS = []
    assert list(check_deployment()) == []


def test_every_setting_and_check_is_documented() -> None:
    text = SETTINGS.read_text()
    package = Path(__file__).parent.parent / "django_jam_sessions"
    sources = "".join(path.read_text() for path in package.glob("*checks.py"))
    for name in NAMES:
        assert "`%s`" % name in text, name
    found = set(re.findall(r"\"jam_sessions\.([EWI]\d+)\"", sources))
    assert len(found) == 28
    for check_id in found:
        assert check_id in text
