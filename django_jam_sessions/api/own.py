"""A user's own sessions: the list of devices, and their ends."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

from django.contrib.auth import SESSION_KEY as AUTH_USER_ID
from django.contrib.auth import alogout
from django.http import HttpRequest, HttpResponse, JsonResponse

from ..configured import sessions
from ..engine import SessionStore
from ..exceptions import SessionNotFoundError
from ..infos import Page
from ..reauthentication import is_recent
from ..receivers import key_of
from .endpoints import CHALLENGE, authenticated, done, page_of, shown
from .problems import Problem


async def list_own(request: HttpRequest) -> HttpResponse:
    session = await own_session(request)
    if session.owner is None:  # the function SESSION_KEY said so: this session is all there is
        page = Page.of([session.info] if session.info else [], None)
    else:
        page = await page_of(request, session.owner, current=session.session_key)
    found = [{**shown(info), "is_current": info.is_current} for info in page]
    return JsonResponse({"sessions": found, "next": page.cursor})


async def end_own(request: HttpRequest, handle: str) -> HttpResponse:
    session = await own_session(request)
    if handle == session.handle:
        await alogout(request)  # this response deletes the cookie
        return done()
    await may_end(session)
    if session.owner is None:
        raise SessionNotFoundError("There is no such session.")
    await sessions.end(session.owner, handle)
    return done()


async def end_others(request: HttpRequest) -> HttpResponse:
    session = await own_session(request)
    await may_end(session)
    await sessions.clear_others(session.session_key or "")
    return done()


async def end_all(request: HttpRequest) -> HttpResponse:
    """The others first: where the store fails, the user is still here to try again."""
    session = await own_session(request)
    await may_end(session)
    if session.owner is not None:
        with suppress(SessionNotFoundError):
            await sessions.clear(session.owner)
    await alogout(request)
    return done()


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
