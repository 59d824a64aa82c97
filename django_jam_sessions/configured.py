"""The SessionModule that the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.core.signals import setting_changed

from .backends.base import Backend
from .conf import conf
from .module import SessionModule
from .operations import Operations
from .serialization import refuse_pickle

RELEVANT = {
    "JAM_SESSIONS",
    "BASE_DIR",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SESSION_COOKIE_AGE",
    "SESSION_SERIALIZER",
}


class EngineSettings(NamedTuple):
    """What a SessionStore asks for at each request, found once."""

    backend: Backend
    operations: Operations
    session_key: Callable[[dict[str, Any]], object] | None
    session_ttl: float | None
    id_factory: Callable[[], str] | None
    touch_interval: float  # milliseconds
    sliding: bool
    max_data_bytes: float


class ConfiguredSessions:
    """Stands for a module that is built on first use, and anew when a test overrides settings."""

    def __init__(self) -> None:
        self._module: SessionModule | None = None
        self._engine: EngineSettings | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.current(), name)

    def current(self) -> SessionModule:
        """The module itself, for those who ask it more than once."""
        if self._module is None:
            self._module = SessionModule(**conf.module_arguments())
        return self._module

    def engine(self) -> EngineSettings:
        """What the session engine needs of the settings."""
        if self._engine is None:
            module = self.current()
            refuse_pickle(settings.SESSION_SERIALIZER)
            self._engine = EngineSettings(
                module.backend,
                module.operations,
                conf.session_key,
                conf.session_ttl,
                conf.id_factory,
                conf.touch_interval * 1000,
                conf.sliding,
                conf.max_data_bytes,
            )
        return self._engine

    def forget(self, *, setting: str, **kwargs: Any) -> None:
        if setting in RELEVANT:
            self._module = self._engine = None


configured = ConfiguredSessions()
sessions = cast(SessionModule, configured)

setting_changed.connect(configured.forget, dispatch_uid="django_jam_sessions")
