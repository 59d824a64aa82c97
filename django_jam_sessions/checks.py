"""System checks. An id never changes and is never used again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from . import backends
from .client import behind_proxies
from .conf import NAMES, conf
from .patience import timeouts
from .policy import END_OLDEST, check_limit_policy, check_ttl
from .receivers import ENGINE, has_middleware
from .sealing import parse_secrets
from .serialization import refuse_pickle

DJANGOS_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"


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
    found += _two_middlewares()
    found += _unknown_keys(given)
    found += _unused_keys(given)
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


_KEYS_OF = {
    "redis": {
        "REDIS_URI",
        "SESSIONS_PATH",
        "CONNECT_TIMEOUT",
        "READ_TIMEOUT",
        "TOTAL_TIMEOUT",
        "RETRIES",
    },
    "json": {"JSON_PATH", "JSON_FSYNC"},
    "custom": {"CUSTOM_MODULE"},
}


def _unused_keys(given: dict[str, Any]) -> Iterator[CheckMessage]:
    kind = conf.sessions_type
    if kind == "custom":
        return  # its class may be given any of them
    unused = [(name, of) for of in _KEYS_OF if of != kind for name in _KEYS_OF[of] & set(given)]
    for name, of in sorted(unused):
        yield checks.Warning(
            "JAM_SESSIONS[%r] is not used: SESSIONS_TYPE is %r." % (name, kind),
            hint="It is for SESSIONS_TYPE %r." % of,
            id="jam_sessions.W006",
        )
    if given.get("SESSION_AES_SECRET") is not None and given.get("IS_SESSION_CRYPT") is not True:
        yield checks.Warning(
            "JAM_SESSIONS['SESSION_AES_SECRET'] is not used: IS_SESSION_CRYPT is not True.",
            hint="Sessions are stored as they are.",
            id="jam_sessions.W006",
        )


def _two_middlewares() -> Iterator[CheckMessage]:
    if DJANGOS_MIDDLEWARE in settings.MIDDLEWARE and has_middleware():
        yield checks.Warning(
            "MIDDLEWARE has Django's SessionMiddleware and this one.",
            hint="Take out %r: each sets the session anew." % DJANGOS_MIDDLEWARE,
            id="jam_sessions.W007",
        )


def _check_redis(given: dict[str, Any]) -> None:
    if conf.sessions_type == "redis":
        uri = conf.redis_uri if "REDIS_URI" in given else backends.REDIS_URI
        path = given.get("SESSIONS_PATH", backends.SESSIONS_PATH)
        backends.build("redis", {"redis_uri": uri, "sessions_path": path})


def _check_secret(given: dict[str, Any]) -> None:
    is_session_crypt = conf.is_session_crypt
    if given.get("SESSION_AES_SECRET") is not None:
        parse_secrets(given["SESSION_AES_SECRET"])
    elif is_session_crypt:
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
    conf.client_info  # noqa: B018 - raises
    function: object = conf.client_ip
    if function is behind_proxies:
        raise ImproperlyConfigured("CLIENT_IP: behind_proxies() is to be called, with a number.")


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
