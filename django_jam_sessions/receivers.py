"""Who is deleted or made inactive loses every session at once."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from .conf import conf
from .configured import sessions
from .exceptions import JamSessionsError, SessionNotFoundError

logger = logging.getLogger(__name__)

ENGINE = "django_jam_sessions.engine"


def connect() -> None:
    user = get_user_model()
    post_delete.connect(_user_deleted, sender=user, dispatch_uid="jam_sessions_deleted")
    post_save.connect(_user_saved, sender=user, dispatch_uid="jam_sessions_saved")


def key_of(user: AbstractBaseUser) -> str:
    """The session key that the engine gives a user's sessions: what login() puts in the data."""
    key: str = user._meta.pk.value_to_string(user)
    return key


def keys_are_users() -> bool:
    return settings.SESSION_ENGINE == ENGINE and conf.session_key is None


def _user_deleted(instance: AbstractBaseUser, using: str, **kwargs: Any) -> None:
    _end_after_commit(instance, using)


def _user_saved(
    instance: AbstractBaseUser, using: str, created: bool, raw: bool, **kwargs: Any
) -> None:
    if not (created or raw or instance.is_active):
        _end_after_commit(instance, using)


def _end_after_commit(user: AbstractBaseUser, using: str) -> None:
    if keys_are_users():
        key = key_of(user)  # now: a deleted user's pk is gone later
        # Not before: where the transaction fails, the user keeps the sessions.
        transaction.on_commit(lambda: _end(key), using=using)


def _end(key: str) -> None:
    try:
        sessions.sync.clear(key)
    except SessionNotFoundError:
        pass
    except JamSessionsError:
        # The user is gone or inactive all the same, and django.contrib.auth lets nobody in.
        logger.exception("The sessions of a deleted or inactive user could not be ended.")
