"""The Django settings of the benchmarks: every engine that is compared, on one server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import django
from django.conf import settings

USERS = 4096
FULL = bool(os.environ.get("FULL"))

ENGINES = {
    "Django cache": "django.contrib.sessions.backends.cache",
    "Django cached_db": "django.contrib.sessions.backends.cached_db",
    "Django db on SQLite": "django.contrib.sessions.backends.db",
    "Django file": "django.contrib.sessions.backends.file",
    "Django signed_cookies": "django.contrib.sessions.backends.signed_cookies",
    "django-qsessions": "qsessions.backends.db",
}


def configure(uri: str, directory: Path, secret_key: str = "benchmark " * 5) -> None:
    settings.configure(
        SECRET_KEY=secret_key,
        INSTALLED_APPS=[
            "django_jam_sessions",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "qsessions",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": directory / "db.sqlite3",
                "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SESSION_ENGINE="django_jam_sessions.engine",
        SESSION_FILE_PATH=str(directory),
        SESSION_CACHE_ALIAS="redis",
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "redis": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": uri,
            },
            "django-redis": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": uri},
        },
        MIDDLEWARE=[],
        ROOT_URLCONF="benchmarks.requests",
        JAM_SESSIONS={"SESSIONS_TYPE": "redis", "REDIS_URI": uri},
        USE_TZ=True,
        ALLOWED_HOSTS=["*"],
    )
    django.setup()


def create_users() -> None:
    """The rows that django-qsessions refers to."""
    from django.contrib.auth import get_user_model

    user = get_user_model()
    user.objects.bulk_create(user(pk=n, username="user%d" % n) for n in range(USERS))


def data_of(size: int) -> dict[str, Any]:
    """A session's data that takes about ``size`` bytes as JSON; lists, as carts have, if it is
    large: text alone would cost nothing to encode."""
    data: dict[str, Any] = {
        "_auth_user_id": "12345",
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": "0" * 64,
    }
    number = 0
    while len(str(data)) < size - 40:
        data["item%d" % number] = {"sku": "A-%d" % number, "count": number, "price": 9.5}
        number += 1
    data["pad"] = "x" * max(0, size - len(str(data)) - 10)
    return data
