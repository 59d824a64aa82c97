"""The page "Your sessions": what a signed-in user sees of their own, and ends.

Templates are rendered in a thread: a site's context processors may ask its database.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY as AUTH_USER_ID
from django.contrib.auth import alogout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from . import reauthentication
from .configured import configured, sessions
from .engine import SessionStore
from .exceptions import SessionNotFoundError
from .forms import PasswordForm
from .infos import Page, SessionInfo
from .receivers import key_of
from .steps import arun

View = Callable[..., Coroutine[Any, Any, HttpResponse]]

PAGE_LENGTH = 100  # sessions


def _page(allow: Callable[[View], View]) -> Callable[[View], View]:
    """What every view here has in common, the outermost first."""

    def decorate(view: View) -> View:
        # Inside _signed_in(): with CSRF_USE_SESSIONS it must find the session loaded.
        guarded = _signed_in(csrf_protect(view))
        shielded = never_cache(sensitive_post_parameters("password")(allow(guarded)))
        # Exempt from the middleware alone, whose refusals no decorator reaches to say no-store.
        return csrf_exempt(shielded)

    return decorate


def _signed_in(view: View) -> View:
    """login_required, but that whoever signs in comes to the list: a button's URL has no page."""

    @wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = await request.auser()
        # Whom a token names, say, has no session here, whosever cookie came along.
        if not user.is_authenticated or await request.session.aget(AUTH_USER_ID) != key_of(user):
            return redirect_to_login(reverse("jam_sessions:list"))
        return await view(request, *args, **kwargs)

    return wrapped


@_page(require_safe)
async def list_sessions(request: HttpRequest) -> HttpResponse:
    session, cursor = _session(request), request.GET.get("cursor")
    try:
        found = await _found(session.owner, cursor)
    except ValueError:
        return await _not_found(request)
    others = [info for info in found if info.handle != session.handle]
    others.sort(key=lambda info: info.last_seen_at, reverse=True)
    context = {"this": session.info, "others": others, "cursor": cursor, "next": found.cursor}
    return await _render(request, "sessions.html", context)


@_page(require_POST)
async def end(request: HttpRequest, handle: str) -> HttpResponse:
    session = _session(request)
    if handle == session.handle:
        return await _sign_out(request, _("You have signed out."))
    if session.owner is None:
        return await _not_found(request)
    what = _("The following session will be ended:")
    try:
        question = await _question(request, _("End the session"), what, handle)
        if question is not None:
            return question
        await sessions.end(session.owner, handle)
    except SessionNotFoundError:
        return await _not_found(request)
    return _back(request, _("The session has been ended."))


@_page(require_POST)
async def end_others(request: HttpRequest) -> HttpResponse:
    what = _("All your sessions but this one will be ended.")
    if (question := await _question(request, _("End all other sessions"), what)) is not None:
        return question
    try:
        await sessions.clear_others(request.session.session_key or "")
    except SessionNotFoundError:
        return await _not_found(request)
    return _back(request, _("All your other sessions have been ended."))


@_page(require_POST)
async def end_all(request: HttpRequest) -> HttpResponse:
    """The others first: where the store fails, the user is still here to try again."""
    what = _("All your sessions will be ended, this one too. You will have to sign in again.")
    if (question := await _question(request, _("End all sessions"), what)) is not None:
        return question
    owner = _session(request).owner
    if owner is not None:
        with suppress(SessionNotFoundError):
            await sessions.clear(owner)
    return await _sign_out(request, _("All your sessions have been ended."))


def _session(request: HttpRequest) -> SessionStore:
    return cast(SessionStore, request.session)


async def _found(owner: str | None, cursor: str | None) -> Page[SessionInfo]:
    """Raises ValueError for a cursor that is none."""
    if owner is None:  # the function SESSION_KEY said so: this session belongs to no other
        return Page()
    return await sessions.list(owner, limit=PAGE_LENGTH, cursor=cursor)


async def _info(owner: str | None, handle: str) -> SessionInfo:
    """What is shown of one of the owner's sessions; raises SessionNotFoundError."""
    module = configured.current()
    found = await arun(module.backend, module.operations.find(handle))
    if found is None or found[0].session_key != owner:
        raise SessionNotFoundError("There is no such session.")
    return found[0]


async def _question(
    request: HttpRequest, action: str, what: str, handle: str | None = None
) -> HttpResponse | None:
    """The page that asks for the password, None where it need not be asked.

    It is the answer to the POST itself, and its form posts to the same URL: what was asked for is
    done in the request that brings the password. ``what`` says what that will be; with a handle
    the page shows that session. Raises SessionNotFoundError.
    """
    if await reauthentication.is_recent(request.session):
        return None
    form = PasswordForm(request.POST if "password" in request.POST else None)
    username = (await request.auser()).get_username()
    if form.is_valid():
        if await reauthentication.confirm(request, form.cleaned_data["password"]):
            return None
        form.add_error("password", _("That is not your password."))
    info = None if handle is None else await _info(_session(request).owner, handle)
    context = {"form": form, "action": action, "what": what, "info": info, "username": username}
    return await _render(request, "password.html", context)


async def _not_found(request: HttpRequest) -> HttpResponse:
    """One page for a session of somebody else's, one that has ended and one that never was."""
    return await _render(request, "not_found.html", {}, status=404)


async def _sign_out(request: HttpRequest, message: str) -> HttpResponse:
    await alogout(request)
    messages.success(request, message, fail_silently=True)
    return redirect(resolve_url(settings.LOGOUT_REDIRECT_URL or settings.LOGIN_URL))


def _back(request: HttpRequest, message: str) -> HttpResponse:
    messages.success(request, message, fail_silently=True)
    return redirect("jam_sessions:list")


async def _render(
    request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    name = "django_jam_sessions/%s" % template
    return await sync_to_async(render)(request, name, context, status=status)
