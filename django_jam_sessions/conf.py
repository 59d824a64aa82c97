"""The setting JAM_SESSIONS, one property per key: read on every access, nothing kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .sealing import secrets_from_django

NAMES = (
    "SESSIONS_TYPE",
    "ID_FACTORY",
    "IS_SESSION_CRYPT",
    "SESSION_AES_SECRET",
    "REDIS_URI",
    "SESSIONS_PATH",
    "SESSION_TTL",
    "JSON_PATH",
    "CUSTOM_MODULE",
    "SESSION_KEY",
)


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
    def session_key(self) -> Callable[[dict[str, Any]], object] | None:
        """Takes a session's data, returns its session key, or None for nobody's."""
        function: Callable[[dict[str, Any]], object] | None = self._callable("SESSION_KEY")
        return function

    @property
    def session_ttl(self) -> float | None:
        """Seconds; None where Django's own settings rule."""
        ttl = self.given.get("SESSION_TTL")
        return None if ttl is None else check_ttl(ttl)

    def module_arguments(self) -> dict[str, Any]:
        """The arguments of the SessionModule that the settings describe."""
        given = {str(name).lower(): value for name, value in self.given.items()}
        given.pop("session_key", None)
        given.setdefault("sessions_type", "json")
        if given.get("session_ttl") is None:
            given["session_ttl"] = settings.SESSION_COOKIE_AGE
        if given.pop("id_factory", None) is not None:
            given["id_factory"] = self.id_factory
        if isinstance(given.get("redis_uri"), str) and "://" not in given["redis_uri"]:
            given["redis_uri"] = self._callable("REDIS_URI")
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


def check_ttl(ttl: Any) -> float | None:
    """``ttl`` where it is a number of seconds or None; raises ImproperlyConfigured."""
    is_number = isinstance(ttl, int | float) and not isinstance(ttl, bool)
    if ttl is None or (is_number and 0 < ttl < math.inf):
        return ttl  # type: ignore[no-any-return]  # narrowed by is_number
    raise ImproperlyConfigured("session_ttl must be a number of seconds above 0, or None.")


conf = Conf()
