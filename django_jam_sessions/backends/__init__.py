"""Where records live. A backend moves bytes: it knows no secrets, no policy, no requests."""

from __future__ import annotations

import inspect
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ..patience import NAMES, timeouts
from .base import METHODS, Backend

TYPES = ("redis", "json", "custom")
REDIS_URI = "redis://127.0.0.1:6379/0"
SESSIONS_PATH = "jam_sessions"


def build(sessions_type: str, options: dict[str, Any]) -> Backend:
    """The backend of that type. Raises TypeError for an option that nobody knows, and
    ImproperlyConfigured for whatever else is wrong."""
    options = dict(options)
    custom = options.pop("custom_module", None)
    redis_uri = options.pop("redis_uri", REDIS_URI)
    sessions_path = options.pop("sessions_path", SESSIONS_PATH)
    json_path = options.pop("json_path", None)
    waits = timeouts({name: options.pop(name) for name in NAMES if name in options})
    json_fsync = options.pop("json_fsync", False)
    if sessions_type == "custom":
        return check_custom(custom, options)(**options)
    if sessions_type not in TYPES:
        raise ImproperlyConfigured("sessions_type must be one of %s." % ", ".join(TYPES))
    for name in options:
        raise TypeError("SessionModule() got an unexpected keyword argument %r." % name)
    if sessions_type == "json":
        from .json import JSONBackend

        if not json_path:
            raise ImproperlyConfigured("The json backend needs a json_path.")
        if not isinstance(json_fsync, bool):
            raise ImproperlyConfigured("json_fsync must be a bool.")
        return JSONBackend(json_path, fsync=json_fsync)
    try:
        from .redis import RedisBackend
    except ImportError as error:
        raise ImproperlyConfigured(
            "The redis backend needs redis-py: install django-jam-sessions[redis]."
        ) from error
    return RedisBackend(redis_uri, sessions_path, waits)


def check_custom(custom: object, options: dict[str, Any]) -> type[Backend]:
    """The class that ``custom_module`` names.

    Raises ImproperlyConfigured where it is no backend, TypeError for options it does not take.
    """
    if isinstance(custom, str):
        try:
            custom = import_string(custom)
        except ImportError as error:
            raise ImproperlyConfigured("custom_module can't be imported: %s" % error) from error
    if not isinstance(custom, type):
        raise ImproperlyConfigured("custom_module must be a class or the dotted path of one.")
    names = {name for method in METHODS for name in (method, "a" + method)}
    missing = {name for name in names if not callable(getattr(custom, name, None))}
    missing |= getattr(custom, "__abstractmethods__", frozenset())
    if missing:
        lacking = ", ".join(sorted(missing))
        raise ImproperlyConfigured("custom_module %s lacks %s." % (custom.__name__, lacking))
    try:
        inspect.signature(custom).bind(**options)
    except TypeError as error:
        raise TypeError("custom_module %s: %s." % (custom.__name__, error)) from error
    return custom
