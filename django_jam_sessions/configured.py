"""The SessionModule that the settings describe."""

from __future__ import annotations

from typing import Any, cast

from django.core.signals import setting_changed
from django.utils.functional import LazyObject, empty

from .conf import conf
from .module import SessionModule

RELEVANT = {
    "JAM_SESSIONS",
    "BASE_DIR",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SESSION_COOKIE_AGE",
}


class ConfiguredSessions(LazyObject):
    """Built on first use; built anew when a test overrides the settings."""

    def _setup(self) -> None:
        self._wrapped = SessionModule(**conf.module_arguments())

    def current(self) -> SessionModule:
        """The module itself, for those who ask it more than once."""
        if self._wrapped is empty:
            self._setup()
        return cast(SessionModule, self._wrapped)

    def forget(self) -> None:
        self._wrapped = empty


configured = ConfiguredSessions()
sessions = cast(SessionModule, configured)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in RELEVANT:
        configured.forget()


setting_changed.connect(_forget, dispatch_uid="django_jam_sessions")
