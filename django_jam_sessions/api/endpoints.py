"""What all URLs of the API share: methods, errors, who asks, pages.

An id travels in a body or in the header Session-Id, never in a URL: URLs are logged.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from ..configured import sessions
from ..infos import Page, SessionInfo
from .problems import Problem, problem_of

View = Callable[..., Awaitable[HttpResponse]]

PERMISSIONS = {
    action: "jam_sessions.%s_session" % action for action in ("add", "view", "change", "delete")
}
ID_HEADER = "HTTP_SESSION_ID"  # Session-Id, in Django's META
MAX_LIMIT = 1000  # sessions on a page
# RFC 9110, 15.5.2 asks for a challenge. No browser knows this one, so none asks for a password.
CHALLENGE = {"WWW-Authenticate": 'Cookie realm="sessions"'}

csrf_logger = logging.getLogger("django.security.csrf")


class Endpoint:
    """One URL: an async function for each method, errors as problems, nothing cached."""

    csrf_exempt = True  # from Django's middleware: authenticated() checks, and answers in JSON

    def __init__(self, **methods: View) -> None:
        self.methods = methods
        self.allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest, **arguments: str) -> HttpResponse:
        # Out of META, which Django's error reports show.
        session_id = request.META.pop(ID_HEADER, None)
        if session_id is not None:
            request.jam_session_id = session_id  # type: ignore[attr-defined]
        try:
            response = await self._view(request)(request, **arguments)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            response = problem.response()
        response.headers["Cache-Control"] = "no-store"
        return response

    def _view(self, request: HttpRequest) -> View:
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in self.methods:
            allow = {"Allow": self.allowed}
            raise Problem(405, "This URL knows %s." % self.allowed, allow)
        return self.methods[method]


class Nowhere(Endpoint):
    """For what is no URL of the API: Django's own answer is a page."""

    def _view(self, request: HttpRequest) -> View:
        raise Problem(404, "There is no such URL. All of them end with a slash.")


# Who asks


class _Csrf(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        csrf_logger.warning("Forbidden (%s): %a", reason, request.path)
        raise Problem(403, reason)


async def authenticated(request: HttpRequest) -> Any:
    """The user who asks; raises Problem."""
    user = await request.auser()
    if not user.is_authenticated:
        raise Problem(401, "Sign in first.", CHALLENGE)
    if settings.CSRF_USE_SESSIONS:
        await request.session.ahas_key("")  # loads it: the check itself would block
    _Csrf(HttpResponse).process_view(request, HttpResponse, (), {})
    return user


def permitted(action: str) -> Callable[[View], View]:
    """For users who have the permission."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        async def wrapper(request: HttpRequest, **arguments: str) -> HttpResponse:
            user = await authenticated(request)
            if not await user.ahas_perm(PERMISSIONS[action]):
                raise Problem(403, "This needs the permission %s." % PERMISSIONS[action])
            return await view(request, **arguments)

        return wrapper

    return decorate


# What is answered


async def page_of(
    request: HttpRequest, session_key: str, current: str | None = None
) -> Page[SessionInfo]:
    """The page of a key's sessions that was asked for; raises Problem."""
    limit = request.GET.get("limit", "100")
    if not (re.fullmatch("[0-9]{1,4}", limit) and 1 <= int(limit) <= MAX_LIMIT):
        raise Problem(400, "limit must be a number of 1 to %d." % MAX_LIMIT)
    try:
        return await sessions.list(session_key, current, int(limit), request.GET.get("cursor"))
    except ValueError as error:  # the cursor
        raise Problem(400, str(error)) from None


def shown(info: SessionInfo) -> dict[str, Any]:
    client = info.client
    return {
        "handle": info.handle,
        "created_at": info.created_at,
        "last_seen_at": info.last_seen_at,
        "expires_at": info.expires_at,
        "device": client.device if client else "",
        "ip": client.ip if client else "",
    }


def done() -> HttpResponse:
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]  # of nothing
    return response
