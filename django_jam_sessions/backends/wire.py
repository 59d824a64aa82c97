"""What Redis and its clients say to each other, packed and parsed by hiredis."""

from __future__ import annotations

from typing import Any

import redis
from redis import exceptions

try:
    import hiredis as hiredis  # others have it from here
except ImportError:
    hiredis = None  # type: ignore[assignment]  # redis-py does without it, and so do we

Reply = Any
"""What redis-py returns: int, bytes, None or a list."""

Argument = str | bytes | int
Command = tuple[Argument, ...]

SLACK = 0.1  # seconds by which a timeout may be too long, for the sake of a system call less

UNFINISHED = object()
ERRORS = {
    "LOADING": exceptions.BusyLoadingError,
    "NOAUTH": exceptions.AuthenticationError,
    "NOPERM": exceptions.NoPermissionError,
    "NOSCRIPT": exceptions.NoScriptError,
    "OOM": exceptions.OutOfMemoryError,
    "READONLY": exceptions.ReadOnlyError,
}

pack: Any = hiredis and hiredis.pack_command


def _error(message: str) -> Exception:
    code = message.partition(" ")[0]
    if code == "ERR" and " -READONLY " in message:  # what Redis 6 makes of it in a script
        code = "READONLY"
    return ERRORS.get(code, exceptions.ResponseError)(message)


def reader() -> Any:
    return hiredis.Reader(replyError=_error, notEnoughData=UNFINISHED)


def closed() -> Exception:
    return redis.ConnectionError("The connection was closed.")


def late() -> Exception:
    return redis.TimeoutError("The server did not answer in time.")


def nonsense() -> Exception:
    return redis.InvalidResponse("The server broke the protocol.")
