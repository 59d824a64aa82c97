"""Who is deleted or made inactive loses every session at once; who has a new password, all but
the one that set it. Who signs in again gets a new id."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY as AUTH_USER_ID
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest
from django.utils.module_loading import import_string

from .conf import conf
from .configured import sessions
from .current import current_request
from .exceptions import JamSessionsError, SessionNotFoundError
from .reauthentication import note_sign_in

logger = logging.getLogger(__name__)

ENGINE = "django_jam_sessions.engine"


def connect() -> None:
    for model in _and_subclasses(get_user_model()):
        post_delete.connect(_user_deleted, sender=model, dispatch_uid="jam_sessions_deleted")
        post_save.connect(_user_saved, sender=model, dispatch_uid="jam_sessions_saved")
    user_logged_in.connect(_user_signed_in, dispatch_uid="jam_sessions_signed_in")


def _and_subclasses(model: type[Any]) -> Iterator[type[Any]]:
    """A user may be saved, and deleted, as one of a proxy: that is who sends the signal then."""
    yield model
    for subclass in model.__subclasses__():
        yield from _and_subclasses(subclass)


def key_of(user: AbstractBaseUser) -> str:
    """The session key that the engine gives a user's sessions: what login() puts in the data."""
    key: str = user._meta.pk.value_to_string(user)
    return key


def has_middleware() -> bool:
    """Whether the site has ours. Without it nobody knows whose request sets a password, and so
    which session is to stay; the others end with the password's hash, as Django has it."""
    from .middleware import SessionMiddleware  # apps must be loaded for it

    found = (import_string(path) for path in settings.MIDDLEWARE)
    return any(isinstance(each, type) and issubclass(each, SessionMiddleware) for each in found)


def keys_are_users() -> bool:
    return settings.SESSION_ENGINE == ENGINE and conf.session_key is None


def _user_signed_in(request: HttpRequest | None, user: AbstractBaseUser, **kwargs: Any) -> None:
    """This is sent where tokens are given too: to nobody's session, or to one of somebody else.

    login() gives a new id to everybody but who is signed in already.
    """
    session: Any = getattr(request, "session", None)
    is_to_cycle = getattr(session, "is_to_cycle", False)
    if session is None or not (is_to_cycle or conf.reauthenticate is not None):
        return  # for a token the session need not even be loaded
    if session.get(AUTH_USER_ID) != key_of(user):
        return
    note_sign_in(session)
    if is_to_cycle:
        try:
            session.cycle_key()
        except SessionInterrupted:  # ended meanwhile; but they have just signed in
            session.create()


def _user_deleted(instance: AbstractBaseUser, using: str, **kwargs: Any) -> None:
    _end_after_commit(instance, using)


def _user_saved(
    instance: AbstractBaseUser, using: str, created: bool, raw: bool, **kwargs: Any
) -> None:
    if created or raw:
        return
    if not instance.is_active:
        _end_after_commit(instance, using)
    # Set until save() is through: where a password is stored anew for another hasher, it is not.
    elif (
        vars(instance).get("_password") is not None
        and conf.end_others_on_password_change
        and has_middleware()
    ):
        _end_after_commit(instance, using, keeps_current=True)


def _end_after_commit(user: AbstractBaseUser, using: str, *, keeps_current: bool = False) -> None:
    if keys_are_users():
        key = key_of(user)  # now: a deleted user's pk is gone later
        # Not before: where the transaction fails, the user keeps the sessions.
        transaction.on_commit(lambda: _end(key, keeps_current), using=using)


def _end(key: str, keeps_current: bool) -> None:
    try:
        with suppress(SessionNotFoundError):
            if keeps_current and (current := _current_id(key)) is not None:
                sessions.sync.clear_others(current)
                return
        with suppress(SessionNotFoundError):
            sessions.sync.clear(key)
    except JamSessionsError:
        # django.contrib.auth lets nobody in all the same: the password's hash has changed, or the
        # user is gone or inactive.
        logger.exception("The sessions of a user who was changed or deleted could not be ended.")


def _current_id(key: str) -> str | None:
    """The id of the session of the request that this is part of, where it is the key's."""
    session: Any = getattr(current_request.get(), "session", None)
    return session.stored_id if getattr(session, "owner", None) == key else None
