"""System checks. An id never changes and is never used again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Info
from django.core.exceptions import ImproperlyConfigured

from . import backends
from .conf import NAMES, conf
from .patience import timeouts
from .policy import END_OLDEST, check_limit_policy, check_ttl
from .receivers import ENGINE
from .sealing import parse_secrets
from .serialization import refuse_pickle


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.SESSION_ENGINE != ENGINE:
        found.append(
            checks.Warning(
                "SESSION_ENGINE is not %r." % ENGINE,
                hint="Set it, or Django keeps its sessions elsewhere.",
                id="jam_sessions.W001",
            )
        )
    try:
        given = conf.given
    except ImproperlyConfigured as error:
        return [*found, Error(str(error), id="jam_sessions.E001")]
    if conf.sessions_type not in backends.TYPES:
        types = ", ".join(repr(kind) for kind in backends.TYPES)
        message = "JAM_SESSIONS['SESSIONS_TYPE'] must be one of %s." % types
        return [*found, Error(message, id="jam_sessions.E002")]
    found += _unknown_keys(given)
    for check_id, check in _CHECKS.items():
        try:
            check(given)
        except (ImproperlyConfigured, TypeError) as error:
            found.append(Error(str(error), id=check_id))
    return found


def _unknown_keys(given: dict[str, Any]) -> Iterator[CheckMessage]:
    if conf.sessions_type == "custom":
        return  # whatever else is there is the custom class's: E006
    for name in sorted(set(given) - set(NAMES), key=str):
        yield Error(
            "JAM_SESSIONS has an unknown key: %r." % name,
            hint="Known are %s." % ", ".join(NAMES),
            id="jam_sessions.E001",
        )


def _check_redis(given: dict[str, Any]) -> None:
    if conf.sessions_type == "redis":
        arguments = conf.module_arguments()
        names = [name for name in ("redis_uri", "sessions_path") if name in arguments]
        backends.build("redis", {name: arguments[name] for name in names})


def _check_secret(given: dict[str, Any]) -> None:
    if given.get("SESSION_AES_SECRET") is not None:
        parse_secrets(given["SESSION_AES_SECRET"])
    elif given.get("IS_SESSION_CRYPT"):
        conf.secrets()


def _check_json_path(given: dict[str, Any]) -> None:
    if conf.sessions_type != "json":
        return
    from .backends.directory import Directory, directory_problem

    path = given.get("JSON_PATH") or conf.json_path()
    if path is None:
        raise ImproperlyConfigured("The json backend needs JAM_SESSIONS['JSON_PATH'] or BASE_DIR.")
    if problem := directory_problem(Directory(path).path):
        raise ImproperlyConfigured(problem)


def _check_custom_module(given: dict[str, Any]) -> None:
    if conf.sessions_type == "custom":
        backends.check_custom(given.get("CUSTOM_MODULE"), conf.custom_options())


def _check_id_factory(given: dict[str, Any]) -> None:
    conf.id_factory  # noqa: B018 - raises


def _check_session_key(given: dict[str, Any]) -> None:
    conf.session_key  # noqa: B018 - raises


def _check_session_ttl(given: dict[str, Any]) -> None:
    conf.session_ttl  # noqa: B018 - raises


def _check_touch(given: dict[str, Any]) -> None:
    conf.touch_interval, conf.sliding  # noqa: B018 - raise


def _check_client(given: dict[str, Any]) -> None:
    conf.client_info, conf.client_ip  # noqa: B018 - raise


def _check_password_change(given: dict[str, Any]) -> None:
    conf.end_others_on_password_change  # noqa: B018 - raises


def _check_reauthenticate(given: dict[str, Any]) -> None:
    conf.reauthenticate  # noqa: B018 - raises


def _check_max_data_bytes(given: dict[str, Any]) -> None:
    conf.max_data_bytes  # noqa: B018 - raises


def _check_absolute_ttl(given: dict[str, Any]) -> None:
    check_ttl(given.get("ABSOLUTE_TTL"), "absolute_ttl")


def _check_limit(given: dict[str, Any]) -> None:
    conf.max_sessions_per_key  # noqa: B018 - raises
    check_limit_policy(given.get("LIMIT_POLICY", END_OLDEST))


def _check_timeouts(given: dict[str, Any]) -> None:
    timeouts({str(name).lower(): value for name, value in given.items()})


def _check_json_fsync(given: dict[str, Any]) -> None:
    conf.json_fsync  # noqa: B018 - raises


def _check_serializer(given: dict[str, Any]) -> None:
    if settings.SESSION_ENGINE == ENGINE:
        refuse_pickle(settings.SESSION_SERIALIZER)


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "jam_sessions.E003": _check_redis,
    "jam_sessions.E004": _check_secret,
    "jam_sessions.E005": _check_json_path,
    "jam_sessions.E006": _check_custom_module,
    "jam_sessions.E007": _check_id_factory,
    "jam_sessions.E008": _check_session_key,
    "jam_sessions.E009": _check_session_ttl,
    "jam_sessions.E010": _check_touch,
    "jam_sessions.E011": _check_client,
    "jam_sessions.E012": _check_password_change,
    "jam_sessions.E013": _check_reauthenticate,
    "jam_sessions.E014": _check_max_data_bytes,
    "jam_sessions.E015": _check_absolute_ttl,
    "jam_sessions.E016": _check_limit,
    "jam_sessions.E017": _check_timeouts,
    "jam_sessions.E018": _check_json_fsync,
    "jam_sessions.E019": _check_serializer,
}


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
        or "django.contrib.sessions.middleware.SessionMiddleware" in settings.MIDDLEWARE
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
