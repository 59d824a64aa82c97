"""Django's SessionMiddleware, native under ASGI: no thread, the session's I/O is on the event loop.

Its rules are Django's own, but for three. The cookie is deleted only where this request flushed the
session. That an id was not found proves nothing: a request that still carries the id from before a
login must not erase the cookie that the login has set. Where the store fails the answer is 503,
wherever in the site the failure was met, unless somebody there made an answer of it. And a new id
is told with every answer, also with an error's, for the old one is dead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import http_date

from .client import describe
from .current import current_request
from .exceptions import SessionLimitReached, SessionStoreUnavailable
from .patience import begin, end
from .unavailable import (
    StoreUnavailable,
    answered,
    is_behind,
    is_outage,
    listen,
    outages,
    remember,
    watch,
)


@contextmanager
def _current(request: HttpRequest) -> Iterator[None]:
    """For the receivers of signals, which know of no request, and for the calls to the store, which
    share one total timeout."""
    token, patience = current_request.set(request), begin()
    try:
        yield
    finally:
        end(patience)
        current_request.reset(token)


class SessionMiddleware(DjangoSessionMiddleware):
    """In the place of ``django.contrib.sessions.middleware.SessionMiddleware``."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        listen()

    def __call__(self, request: HttpRequest) -> Any:
        if self.async_mode:
            return self.__acall__(request)
        with _current(request):
            self.process_request(request)
            watch(request)
            try:
                response: Any = self.get_response(request)
            except Exception as error:  # the site's own page for errors raised it
                if not is_behind(request, error):
                    raise
                response = StoreUnavailable(error)
            return self.process_response(request, answered(request, response))

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        with _current(request):
            self.process_request(request)
            watch(request)
            try:
                response = await cast(Any, self.get_response)(request)
            except Exception as error:
                if not is_behind(request, error):
                    raise
                response = StoreUnavailable(error)
            return await self.aprocess_response(request, answered(request, response))

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        session: Any = request.session
        session.describe = partial(describe, request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """What a view or a template raised."""
        if not is_outage(error):
            return None
        remember(request, error)
        return StoreUnavailable(error)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = getattr(request, "session", None)
        if session is None:
            return response
        try:
            return _told(self._kept(request, response, session), session)
        except Exception as error:
            if not _is_to_be_told(session, error):
                raise
            return _told(response_for_exception(request, error), session)

    def _kept(self, request: HttpRequest, response: HttpResponse, session: Any) -> HttpResponse:
        known = getattr(session, "failure", None)
        try:
            try:
                return self._finish(request, response, session)
            except SessionLimitReached as error:
                return self._finish(request, _refused(request, error), session)
        except SessionStoreUnavailable as error:
            return _unkept(response, session, error, known)

    def _finish(self, request: HttpRequest, response: HttpResponse, session: Any) -> HttpResponse:
        accessed = session.accessed
        if _is_saved_anyway(session):
            session.has_key("")  # loads it
        if _is_merely_missing(session):
            return _vary(response, accessed)
        if _is_only_used(session, response) and session.touch():
            at_browser_close = session.get_expire_at_browser_close()
            max_age = None if at_browser_close else session.get_expiry_age()
            _set_cookie(response, session, max_age)
        return super().process_response(request, response)

    async def aprocess_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """See process_response()."""
        session = getattr(request, "session", None)
        if session is None:
            return response
        try:
            return _told(await self._akept(request, response, session), session)
        except Exception as error:
            if not _is_to_be_told(session, error):
                raise
            page = sync_to_async(response_for_exception, thread_sensitive=False)
            return _told(await page(request, error), session)

    async def _akept(
        self, request: HttpRequest, response: HttpResponse, session: Any
    ) -> HttpResponse:
        known = getattr(session, "failure", None)
        try:
            try:
                return await self._afinish(request, response, session)
            except SessionLimitReached as error:
                response = await sync_to_async(_refused, thread_sensitive=False)(request, error)
                return await self._afinish(request, response, session)
        except SessionStoreUnavailable as error:
            return _unkept(response, session, error, known)

    async def _afinish(
        self, request: HttpRequest, response: HttpResponse, session: Any
    ) -> HttpResponse:
        accessed = session.accessed
        if _is_saved_anyway(session):
            await session.ahas_key("")  # loads it
        if _is_merely_missing(session):
            return _vary(response, accessed)
        if session.is_empty():
            return super().process_response(request, response)  # it was flushed: no I/O
        if _is_only_used(session, response) and await session.atouch():
            _set_cookie(response, session, await _max_age(session))
        if not (session.modified or settings.SESSION_SAVE_EVERY_REQUEST):
            return _vary(response, accessed)
        max_age = await _max_age(session)
        if response.status_code >= 500:
            return _vary(response, accessed)
        await _save(session)
        _set_cookie(response, session, max_age)
        return _vary(response, True)


def _refused(request: HttpRequest, error: SessionLimitReached) -> HttpResponse:
    """The site's 403, for somebody who is as anonymous as the session stayed."""
    if hasattr(request, "user"):
        from django.contrib.auth.models import AnonymousUser  # apps must be loaded for it

        async def auser() -> AnonymousUser:
            return AnonymousUser()

        request.user, request.auser = AnonymousUser(), auser
    response: HttpResponse = response_for_exception(request, error)
    return response


def _unkept(
    response: HttpResponse,
    session: SessionBase,
    error: SessionStoreUnavailable,
    known: SessionStoreUnavailable | None,
) -> HttpResponse:
    """The answer where the store failed in the end.

    What was only read stays as it is; and so does a refusal by somebody who had met the failure
    ``known``. Anything else would tell that changes were kept.
    """
    if session.modified and (known is None or response.status_code < 400):
        outages.note(error, refused=1)
        return StoreUnavailable(error)
    if known is None:
        outages.note(error)
    return _vary(response, True)


def _is_to_be_told(session: SessionBase, error: Exception) -> bool:
    """Whether Django's page for the error must have a cookie: not where the session was ended."""
    has_moved = getattr(session, "has_moved", False)
    return has_moved and not isinstance(error, SessionInterrupted)


def _told(response: HttpResponse, session: Any) -> HttpResponse:
    """The answer, whatever it is, of a request that gave the session a new id: the one that the
    client came with is dead, so without the new one they would be signed out."""
    has_moved = getattr(session, "has_moved", False)
    if has_moved and settings.SESSION_COOKIE_NAME not in response.cookies:
        expiry = session.stored_expiry  # what this request has set is not kept
        at_browser_close = expiry == 0
        if expiry is None:
            at_browser_close = settings.SESSION_EXPIRE_AT_BROWSER_CLOSE
        max_age = None if at_browser_close else session.get_expiry_age(expiry=expiry)
        _set_cookie(response, session, max_age)
        _vary(response, True)
    return response


def _is_saved_anyway(session: SessionBase) -> bool:
    return settings.SESSION_SAVE_EVERY_REQUEST and not session.modified and not session.is_empty()


def _is_merely_missing(session: SessionBase) -> bool:
    """Whether the session is empty though nobody flushed it: it is new, or was not found."""
    return session.is_empty() and not getattr(session, "flushed", True)


def _is_only_used(session: SessionBase, response: HttpResponse) -> bool:
    """Whether the session was looked at and not changed: that is noted, now and then."""
    return (
        session.accessed
        and not (session.modified or settings.SESSION_SAVE_EVERY_REQUEST)
        and response.status_code < 500
        and hasattr(session, "touch")
    )


async def _max_age(session: SessionBase) -> int | None:
    at_browser_close = await session.aget_expire_at_browser_close()
    return None if at_browser_close else await session.aget_expiry_age()


async def _save(session: SessionBase) -> None:
    try:
        await session.asave()
    except UpdateError as error:
        raise SessionInterrupted(
            "The request's session was deleted before the request completed. The user may have "
            "logged out in a concurrent request, for example."
        ) from error


def _set_cookie(response: HttpResponse, session: SessionBase, max_age: int | None) -> None:
    response.set_cookie(
        settings.SESSION_COOKIE_NAME,
        getattr(session, "stored_id", session.session_key) or "",
        max_age=max_age,
        expires=None if max_age is None else http_date(time.time() + max_age),
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=settings.SESSION_COOKIE_HTTPONLY,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )


def _vary(response: HttpResponse, needed: bool) -> HttpResponse:
    if needed:
        patch_vary_headers(response, ("Cookie",))
    return response
