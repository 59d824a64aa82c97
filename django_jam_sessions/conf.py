"""The setting JAM_SESSIONS, one property per key: read on every access, nothing kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .policy import MaxSessions, check_max_bytes, check_max_sessions, check_ttl
from .sealing import secrets_from_django

if TYPE_CHECKING:
    from django.http import HttpRequest

# What is for the engine, the middleware and the views, and not for SessionModule.
SITE_NAMES = (
    "SESSION_KEY",
    "TOUCH_INTERVAL",
    "SLIDING",
    "CLIENT_INFO",
    "CLIENT_IP",
    "END_OTHERS_ON_PASSWORD_CHANGE",
    "REAUTHENTICATE",
)
NAMES = (
    "SESSIONS_TYPE",
    "ID_FACTORY",
    "IS_SESSION_CRYPT",
    "SESSION_AES_SECRET",
    "REDIS_URI",
    "SESSIONS_PATH",
    "SESSION_TTL",
    "ABSOLUTE_TTL",
    "MAX_SESSIONS_PER_KEY",
    "LIMIT_POLICY",
    "JSON_PATH",
    "JSON_FSYNC",
    "CUSTOM_MODULE",
    "MAX_DATA_BYTES",
    "CONNECT_TIMEOUT",
    "READ_TIMEOUT",
    "TOTAL_TIMEOUT",
    "RETRIES",
    *SITE_NAMES,
)

MAX_DATA_BYTES = 1_048_576  # each request with a session reads and writes the whole of it


class Conf:
    @property
    def given(self) -> dict[str, Any]:
        """The setting itself; raises ImproperlyConfigured where it is no dict."""
        given = getattr(settings, "JAM_SESSIONS", {})
        if not isinstance(given, dict):
            raise ImproperlyConfigured("JAM_SESSIONS must be a dict.")
        return given

    @property
    def sessions_type(self) -> str:
        kind: str = self.given.get("SESSIONS_TYPE", "json")
        return kind

    @property
    def id_factory(self) -> Callable[[], str] | None:
        """None where it is not set: then SessionModule has its default, and the engine none."""
        factory: Callable[[], str] | None = self._callable("ID_FACTORY")
        return factory

    @property
    def redis_uri(self) -> object:
        """As given, or the function that it names."""
        uri = self.given.get("REDIS_URI")
        is_path = isinstance(uri, str) and all(part.isidentifier() for part in uri.split("."))
        return self._callable("REDIS_URI") if is_path else uri

    @property
    def session_key(self) -> Callable[[dict[str, Any]], object] | None:
        """Takes a session's data, returns its session key, or None for nobody's."""
        function: Callable[[dict[str, Any]], object] | None = self._callable("SESSION_KEY")
        return function

    @property
    def session_ttl(self) -> float | None:
        """Seconds; None where Django's own settings rule."""
        ttl = self.given.get("SESSION_TTL")
        return None if ttl is None else check_ttl(ttl)

    @property
    def max_sessions_per_key(self) -> MaxSessions:
        value = self.given.get("MAX_SESSIONS_PER_KEY")
        is_path = isinstance(value, str)
        return check_max_sessions(self._callable("MAX_SESSIONS_PER_KEY") if is_path else value)

    @property
    def is_session_crypt(self) -> bool:
        return self._flag("IS_SESSION_CRYPT", default=False)

    @property
    def json_fsync(self) -> bool:
        """Whether the JSON backend's writes survive a power loss."""
        return self._flag("JSON_FSYNC", default=False)

    @property
    def max_data_bytes(self) -> float:
        """Infinity where there is no limit."""
        return check_max_bytes(self.given.get("MAX_DATA_BYTES", MAX_DATA_BYTES))

    @property
    def touch_interval(self) -> float:
        """Seconds after which a session that is used is noted as seen again."""
        interval: float | None = check_ttl(self.given.get("TOUCH_INTERVAL", 300), "TOUCH_INTERVAL")
        return math.inf if interval is None else interval

    @property
    def sliding(self) -> bool:
        """Whether a session that is used lives on from then."""
        return self._flag("SLIDING", default=False)

    @property
    def client_info(self) -> bool | Literal["truncated"]:
        """Whether the client's address and user agent are stored."""
        value = self.given.get("CLIENT_INFO", True)
        if value is True or value is False or value == "truncated":
            return value  # type: ignore[no-any-return]  # narrowed by the line before
        raise ImproperlyConfigured("JAM_SESSIONS['CLIENT_INFO'] must be a bool or 'truncated'.")

    @property
    def client_ip(self) -> Callable[[HttpRequest], str] | None:
        """Takes a request, returns its client's address, or ``""``."""
        function: Callable[[HttpRequest], str] | None = self._callable("CLIENT_IP")
        return function

    @property
    def end_others_on_password_change(self) -> bool:
        return self._flag("END_OTHERS_ON_PASSWORD_CHANGE", default=True)

    @property
    def reauthenticate(self) -> float | None:
        """Seconds for which a sign-in, or the password, allows to end sessions; None: for ever."""
        return check_ttl(self.given.get("REAUTHENTICATE"), "REAUTHENTICATE")

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self.given.get(name, default)
        if not isinstance(value, bool):
            raise ImproperlyConfigured("JAM_SESSIONS[%r] must be a bool." % name)
        return value

    def module_arguments(self) -> dict[str, Any]:
        """The arguments of the SessionModule that the settings describe."""
        given = {str(name).lower(): value for name, value in self.given.items()}
        for name in SITE_NAMES:
            given.pop(name.lower(), None)
        given.setdefault("sessions_type", "json")
        if given.get("session_ttl") is None:
            given["session_ttl"] = settings.SESSION_COOKIE_AGE
        if given.pop("id_factory", None) is not None:
            given["id_factory"] = self.id_factory
        if "max_sessions_per_key" in given:
            given["max_sessions_per_key"] = self.max_sessions_per_key
        if "redis_uri" in given:
            given["redis_uri"] = self.redis_uri
        if "is_session_crypt" in given:
            given["is_session_crypt"] = self.is_session_crypt
        return given

    def custom_options(self) -> dict[str, Any]:
        """What the custom backend's class is called with."""
        return {str(name).lower(): value for name, value in self.given.items() if name not in NAMES}

    def secrets(self) -> list[bytes]:
        """AES secrets from Django's own, for where none is given."""
        if not settings.configured:
            raise ImproperlyConfigured("is_session_crypt needs a session_aes_secret.")
        return secrets_from_django(settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS)

    def json_path(self) -> Path | None:
        """The directory of the JSON backend where none is given; None without a BASE_DIR."""
        base = getattr(settings, "BASE_DIR", None) if settings.configured else None
        return None if base is None else Path(base) / ".jam_sessions"

    def _callable(self, name: str) -> Any:
        """A function, or what its dotted path names; raises ImproperlyConfigured."""
        value = self.given.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            try:
                value = import_string(value)
            except ImportError as error:
                # Not the value itself: a URI holds a password.
                raise ImproperlyConfigured(
                    "JAM_SESSIONS[%r] is no dotted path that can be imported." % name
                ) from error
        if not callable(value):
            raise ImproperlyConfigured("JAM_SESSIONS[%r] can't be called." % name)
        return value


conf = Conf()
