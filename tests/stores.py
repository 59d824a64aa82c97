"""The backends that a suite runs over, by name."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from django_jam_sessions import SessionModule
from django_jam_sessions.backends.json import JSONBackend
from django_jam_sessions.backends.redis import RedisBackend

STORES = ["redis", "json", "custom"]


def options_of(store: str, directory: Path, redis_uri: str, prefix: str) -> dict[str, Any]:
    options: dict[str, dict[str, Any]] = {
        "redis": {"sessions_type": "redis", "redis_uri": redis_uri, "sessions_path": prefix},
        "json": {"sessions_type": "json", "json_path": directory / "sessions"},
        "custom": {
            "sessions_type": "custom",
            "custom_module": "testproject.backends.SQLiteBackend",
            "sqlite_path": str(directory / "sessions.sqlite3"),
        },
    }
    return options[store]


def wipe(module: SessionModule) -> None:
    """Remove what a store holds, whatever it is."""
    backend: Any = module.backend
    if isinstance(backend, RedisBackend):
        for key in backend.redis.command("KEYS", backend.prefix + "*"):
            backend.redis.command("DEL", key)
    elif isinstance(backend, JSONBackend):
        for folder in backend.path.glob("??"):
            shutil.rmtree(folder)
    else:
        with (
            contextlib.closing(sqlite3.connect(backend.path)) as connection,
            contextlib.suppress(sqlite3.OperationalError),  # it has no table yet
            connection,
        ):
            connection.execute("DELETE FROM sessions")
