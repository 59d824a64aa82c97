"""System checks for ``check --deploy``. An id never changes and is never used again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Info
from django.core.exceptions import ImproperlyConfigured

from .checks import DJANGOS_MIDDLEWARE
from .conf import conf


def check_deployment(**kwargs: Any) -> Iterator[CheckMessage]:
    """What Django's own security checks don't say."""
    try:
        given = conf.given
    except ImproperlyConfigured:
        return  # check_settings() says so
    if not _django_looks() and (names := _flags_off()):
        yield checks.Warning(
            "%s: not True." % ", ".join(names),
            hint="The session cookie can be read on the way, or by scripts.",
            id="jam_sessions.W005",
        )
    if settings.SESSION_COOKIE_SAMESITE not in ("Lax", "Strict"):
        yield checks.Warning(
            "SESSION_COOKIE_SAMESITE is neither 'Lax' nor 'Strict'.",
            hint="Other sites' pages can make requests that carry the session.",
            id="jam_sessions.W002",
        )
    if settings.SESSION_COOKIE_DOMAIN:
        yield checks.Warning(
            "SESSION_COOKIE_DOMAIN is set: every subdomain gets, and may set, the session cookie.",
            hint="Leave it out, and name the cookie with the prefix __Host-.",
            id="jam_sessions.W003",
        )
    if conf.sessions_type == "json" and (why := _several_hosts()):
        yield checks.Warning(
            "The json backend keeps sessions on one host, and %s." % why,
            hint="Where more than one host serves the site, use the redis backend.",
            id="jam_sessions.W004",
        )
    if not given.get("IS_SESSION_CRYPT"):
        yield Info(
            "IS_SESSION_CRYPT is off: who reads the store reads the sessions' data.",
            hint="Switching it on, or off again, ends every session that exists.",
            id="jam_sessions.I001",
        )
    if given.get("ABSOLUTE_TTL") is None and given.get("REAUTHENTICATE") is None:
        yield Info(
            "ABSOLUTE_TTL and REAUTHENTICATE are not set: who steals a session may keep it in use, "
            "and end its owner's others.",
            hint="ABSOLUTE_TTL ends a session so many seconds after its sign-in, however much it "
            "is used. REAUTHENTICATE asks for the password again before other sessions are ended.",
            id="jam_sessions.I002",
        )


def _django_looks() -> bool:
    """Whether Django's own checks of the session cookie look at it: they know its own parts."""
    return (
        "django.contrib.sessions" in settings.INSTALLED_APPS
        or DJANGOS_MIDDLEWARE in settings.MIDDLEWARE
    )


def _flags_off() -> list[str]:
    names = ("SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY")
    return [name for name in names if getattr(settings, name) is not True]


def _several_hosts() -> str | None:
    """Why it looks as if the site ran on more than one host."""
    for variable in ("KUBERNETES_SERVICE_HOST", "DYNO", "FLY_APP_NAME", "K_SERVICE"):
        if variable in os.environ:
            return "%s is in the environment" % variable
    for alias, database in settings.DATABASES.items():
        host = str(database.get("HOST") or "")
        if not (host.startswith("/") or host in _HERE):
            return "the database %r is on another host" % alias
    for alias, cache in settings.CACHES.items():
        locations = cache.get("LOCATION") or ()
        for location in locations if isinstance(locations, list | tuple) else [locations]:
            if _is_elsewhere(str(location)):
                return "the cache %r is on another host" % alias
    return None


def _is_elsewhere(uri: str) -> bool:
    try:
        return "://" in uri and (urlsplit(uri).hostname or "") not in _HERE
    except ValueError:  # no URI after all
        return False


_HERE = ("", "localhost", "127.0.0.1", "::1")
