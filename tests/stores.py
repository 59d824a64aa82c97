"""The backends that a suite runs over, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
