"""The async JSON views: a user's own sessions, and SessionModule for services and staff.

An id travels in a body or in the header Session-Id, never in a URL: URLs are logged.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.contrib.auth import SESSION_KEY as AUTH_USER_ID
from django.contrib.auth import alogout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware

from .configured import sessions
from .engine import SessionStore
from .exceptions import SessionNotFoundError
from .infos import SessionInfo, check_key
from .module import Page
from .problems import Problem, body_of, problem_of
from .reauthentication import is_recent
from .receivers import key_of

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


async def own_session(request: HttpRequest) -> SessionStore:
    """The session that the user is signed in with; raises Problem."""
    user = await authenticated(request)
    session = getattr(request, "session", None)
    if session is None or await session.aget(AUTH_USER_ID) != key_of(user):
        raise Problem(401, "Sign in with a session: a token has none.", CHALLENGE)
    return cast(SessionStore, session)


async def may_end(session: SessionStore) -> None:
    """Raises Problem where REAUTHENTICATE asks for the password again."""
    if not await is_recent(session):
        raise Problem(403, "The password is needed again, on the page of your sessions.")


# A user's own sessions


async def list_own(request: HttpRequest) -> HttpResponse:
    session = await own_session(request)
    if session.owner is None:  # the function SESSION_KEY said so: this session is all there is
        page = Page.of([session.info] if session.info else [], None)
    else:
        page = await _page(request, session.owner, current=session.session_key)
    shown = [{**_shown(info), "is_current": info.is_current} for info in page]
    return JsonResponse({"sessions": shown, "next": page.cursor})


async def end_own(request: HttpRequest, handle: str) -> HttpResponse:
    session = await own_session(request)
    if handle == session.handle:
        await alogout(request)  # this response deletes the cookie
        return _done()
    await may_end(session)
    if session.owner is None:
        raise SessionNotFoundError("There is no such session.")
    await sessions.end(session.owner, handle)
    return _done()


async def end_others(request: HttpRequest) -> HttpResponse:
    session = await own_session(request)
    await may_end(session)
    await sessions.clear_others(session.session_key or "")
    return _done()


async def end_all(request: HttpRequest) -> HttpResponse:
    """The others first: where the store fails, the user is still here to try again."""
    session = await own_session(request)
    await may_end(session)
    if session.owner is not None:
        with suppress(SessionNotFoundError):
            await sessions.clear(session.owner)
    await alogout(request)
    return _done()


# SessionModule


@permitted("add")
async def create(request: HttpRequest) -> HttpResponse:
    body = body_of(request, "session_key", "data")
    session_key = _checked(body["session_key"])
    session_id = await sessions.create(session_key, _data_of(body))
    return JsonResponse({"session_id": session_id}, status=201)


@permitted("view")
async def get(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"data": await sessions.get(_id_of(request))})


@permitted("change")
async def update(request: HttpRequest) -> HttpResponse:
    session_id = _id_of(request)
    await sessions.update(session_id, _data_of(body_of(request, "data")))
    return _done()


@permitted("delete")
async def delete(request: HttpRequest) -> HttpResponse:
    await sessions.delete(_id_of(request))
    return _done()


@permitted("change")
async def rework(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"session_id": await sessions.rework(_id_of(request))})


@permitted("view")
async def list_key(request: HttpRequest, session_key: str) -> HttpResponse:
    page = await _page(request, _checked(session_key))
    return JsonResponse({"sessions": [_shown(info) for info in page], "next": page.cursor})


@permitted("delete")
async def clear_key(request: HttpRequest, session_key: str) -> HttpResponse:
    await sessions.clear(_checked(session_key))
    return _done()


# What requests hold, and responses


def _id_of(request: HttpRequest) -> str:
    session_id = getattr(request, "jam_session_id", None)
    if session_id is None:
        raise Problem(400, "The header Session-Id is missing.")
    return str(session_id)


def _checked(session_key: Any) -> str:
    try:
        return check_key(session_key)
    except (TypeError, ValueError) as error:
        raise Problem(400, str(error)) from None


def _data_of(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body["data"], dict):
        raise Problem(400, "The field data must be a JSON object.")
    return body["data"]


async def _page(
    request: HttpRequest, session_key: str, current: str | None = None
) -> Page[SessionInfo]:
    limit = request.GET.get("limit", "100")
    if not (re.fullmatch("[0-9]{1,4}", limit) and 1 <= int(limit) <= MAX_LIMIT):
        raise Problem(400, "limit must be a number of 1 to %d." % MAX_LIMIT)
    try:
        return await sessions.list(session_key, current, int(limit), request.GET.get("cursor"))
    except ValueError as error:  # the cursor
        raise Problem(400, str(error)) from None


def _shown(info: SessionInfo) -> dict[str, Any]:
    client = info.client
    return {
        "handle": info.handle,
        "created_at": info.created_at,
        "last_seen_at": info.last_seen_at,
        "expires_at": info.expires_at,
        "device": client.device if client else "",
        "ip": client.ip if client else "",
    }


def _done() -> HttpResponse:
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]  # of nothing
    return response
