"""REAUTHENTICATE: when a session's user last proved who they are.

The time is kept in the session's own data: ``user.last_login`` would not do, for a sign-in on one
device says nothing of who sits before another.
"""

from __future__ import annotations

import time

from asgiref.sync import sync_to_async
from django.contrib.auth import authenticate, get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from .conf import conf

CONFIRMED_AT = "_jam_sessions_confirmed_at"  # seconds of the Unix epoch


def note_sign_in(session: SessionBase) -> None:
    """The session's user has just signed in."""
    if conf.reauthenticate is not None:
        session[CONFIRMED_AT] = _now()


async def is_recent(session: SessionBase) -> bool:
    """Whether the user signed in, or gave the password, in the last REAUTHENTICATE seconds."""
    seconds = conf.reauthenticate
    if seconds is None:
        return True
    confirmed_at = await session.aget(CONFIRMED_AT)
    # Of hosts whose clocks differ one may have noted a time to come.
    return isinstance(confirmed_at, int) and abs(_now() - confirmed_at) < seconds


@sensitive_variables("password")
async def confirm(request: HttpRequest, password: str) -> bool:
    """Whether that is the user's password; if so, it is noted in the session, under a new id.

    It goes through the site's own backends, as a sign-in does: what counts failures and locks
    accounts hears of it, and a directory may know the password. In a thread: a backend that
    overrides authenticate() alone must not be passed by, and hashing takes its time.
    """
    user = await request.auser()
    credentials = {get_user_model().USERNAME_FIELD: user.get_username(), "password": password}
    found = await sync_to_async(authenticate)(request, **credentials)
    if found is None or found.pk != user.pk:
        return False
    await request.session.aset(CONFIRMED_AT, _now())
    await request.session.acycle_key()
    return True


def _now() -> int:
    return time.time_ns() // 1_000_000_000
