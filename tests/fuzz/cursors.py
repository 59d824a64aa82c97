"""What a client says is where a page begins."""

from __future__ import annotations

from contextlib import suppress

from django_jam_sessions import SessionModule
from django_jam_sessions.backends.transport import _position

from . import documents, text
from .hostile import KEY

PATH = documents.DIRECTORY / "cursors"
SECRETS = [b"a" * 32, b"b" * 32]
MODULES = [
    SessionModule("json", json_path=PATH),
    SessionModule("json", json_path=PATH, is_session_crypt=True, session_aes_secret=SECRETS),
]
# Its cursors are looked at before anything is sent: there is no server behind it.
NOBODY = SessionModule("redis", redis_uri="redis://127.0.0.1:1/0").backend

for module in MODULES:
    for _ in range(3):
        module.sync.create(KEY, {})


def one_input(data: bytes) -> None:
    for cursor in (text(data), data.decode("latin-1")):
        for module in MODULES:
            with suppress(ValueError):
                module.sync.list(KEY, limit=2, cursor=cursor)
            with suppress(ValueError):
                module.sync.keys(limit=2, cursor=cursor)
        with suppress(ValueError):
            NOBODY._calls.list("0" * 15, 2, cursor)  # type: ignore[attr-defined]
        with suppress(ValueError):
            _position(cursor)
