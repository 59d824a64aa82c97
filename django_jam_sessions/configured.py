"""The SessionModule that the settings describe."""

from __future__ import annotations

from typing import Any, cast

from django.core.signals import setting_changed

from .conf import conf
from .module import SessionModule

RELEVANT = {
    "JAM_SESSIONS",
    "BASE_DIR",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SESSION_COOKIE_AGE",
}


class ConfiguredSessions:
    """Stands for a module that is built on first use, and anew when a test overrides settings."""

    def __init__(self) -> None:
        self._module: SessionModule | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.current(), name)

    def current(self) -> SessionModule:
        """The module itself, for those who ask it more than once."""
        if self._module is None:
            self._module = SessionModule(**conf.module_arguments())
        return self._module

    def forget(self, *, setting: str, **kwargs: Any) -> None:
        if setting in RELEVANT:
            self._module = None


configured = ConfiguredSessions()
sessions = cast(SessionModule, configured)

setting_changed.connect(configured.forget, dispatch_uid="django_jam_sessions")
