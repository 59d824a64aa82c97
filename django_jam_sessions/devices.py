"""The client description of a session: where it is used from, and with what."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any, NamedTuple

try:
    from ua_parser import parse
except ImportError:
    parse = None  # type: ignore[assignment]  # the extra "devices"

SHORT = 60  # characters of a user agent that nobody could read


class ClientInfo(NamedTuple):
    ip: str  # "" where it is not known
    user_agent: str  # "" where the client sent none

    @property
    def device(self) -> str:
        """A readable name, such as "Firefox on Windows"; "" where the client sent none.

        Without the package ua-parser (the extra ``devices``) it is the user agent, shortened.
        """
        return device_name(self.user_agent)


def client_info(value: Any) -> ClientInfo | None:
    """``value`` out of a record's meta part, where it is a description that can be shown."""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value):
        with suppress(UnicodeEncodeError):  # a lone surrogate, which is in nothing that we wrote
            "".join(value).encode()
            return ClientInfo(*value)
    return None


@functools.lru_cache(1024)
def device_name(user_agent: str) -> str:
    if parse is not None:
        found = parse(user_agent)
        names = [part.family for part in (found.user_agent, found.os) if part is not None]
        if names:
            return " on ".join(names)
    return user_agent if len(user_agent) <= SHORT else user_agent[: SHORT - 1] + "…"
