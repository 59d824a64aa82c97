"""The request that this is a part of, for those who are handed none."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest

current_request: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)
"""Set by the middleware."""


def current_handle() -> str | None:
    """The handle of the request's session, None where there is none that is stored."""
    session: Any = getattr(current_request.get(), "session", None)
    handle: str | None = getattr(session, "handle", None)
    return handle
