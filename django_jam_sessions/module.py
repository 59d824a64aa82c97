"""SessionModule: sessions grouped by key, as a library: no request, and no apps, are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured

from .backends import build
from .conf import MAX_DATA_BYTES, conf
from .infos import KeyInfo, Page, SessionInfo
from .module_steps import RAISE, ModuleSteps
from .operations import Operations
from .policy import POLICY, check_max_bytes, check_ttl, policy
from .sealing import Cipher, Plain, Sealed, parse_secrets
from .steps import arun, run

SessionsType = Literal["redis", "json", "custom"]

SESSION_TTL = 1_209_600  # seconds: two weeks, as Django's SESSION_COOKIE_AGE


class SyncSessions:
    """SessionModule's methods, blocking. No event loop is involved."""

    def __init__(self, steps: ModuleSteps, backend: Any) -> None:
        self._steps = steps
        self._backend = backend

    def create(self, session_key: str, data: dict[str, Any]) -> str:
        """See SessionModule.create()."""
        return run(self._backend, self._steps.create(session_key, data))

    def get(self, session_id: str, default: Any = RAISE) -> Any:
        """See SessionModule.get()."""
        return run(self._backend, self._steps.get(session_id, default))

    def update(self, session_id: str, data: dict[str, Any]) -> None:
        """See SessionModule.update()."""
        run(self._backend, self._steps.update(session_id, data))

    def delete(self, session_id: str) -> None:
        """See SessionModule.delete()."""
        run(self._backend, self._steps.delete(session_id))

    def rework(self, session_id: str) -> str:
        """See SessionModule.rework()."""
        return run(self._backend, self._steps.rework(session_id))

    def clear(self, session_key: str) -> None:
        """See SessionModule.clear()."""
        run(self._backend, self._steps.clear(session_key))

    def clear_others(self, session_id: str) -> None:
        """See SessionModule.clear_others()."""
        run(self._backend, self._steps.clear_others(session_id))

    def end(self, session_key: str, handle: str) -> None:
        """See SessionModule.end()."""
        run(self._backend, self._steps.end(session_key, handle))

    def list(
        self,
        session_key: str,
        current: str | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[SessionInfo]:
        """See SessionModule.list()."""
        return run(self._backend, self._steps.list(session_key, current, limit, cursor))

    def count(self, session_key: str) -> int:
        """See SessionModule.count()."""
        return run(self._backend, self._steps.count(session_key))

    def keys(self, limit: int = 100, cursor: str | None = None) -> Page[KeyInfo]:
        """See SessionModule.keys()."""
        return run(self._backend, self._steps.keys(limit, cursor))

    def purge(self) -> int:
        """See SessionModule.purge()."""
        return run(self._backend, self._steps.purge())


class SessionModule:
    """Server-side sessions, any number of them under each session key.

    A session key says whose sessions they are: any str of 1 to 255 characters. A session id is the
    secret that the client holds; the store holds only a hash of it. Every method is awaited; the
    same methods on ``sync`` block.

    ``session_aes_secret`` may be 32 bytes, urlsafe base64 of such, several of these separated by
    commas, or a sequence: the first seals, all open. Left out, secrets are derived from Django's
    SECRET_KEY and SECRET_KEY_FALLBACKS. ``module_kwargs``: ``redis_uri``, ``sessions_path``,
    ``session_ttl`` (seconds since the last write, None for no end), ``absolute_ttl`` (seconds since
    create(), None for no end), ``max_sessions_per_key`` (a number, a function of the session key
    that returns one, or None for no limit), ``limit_policy`` (``"end_oldest"``, or ``"refuse"``),
    ``max_data_bytes`` (of a session's data as JSON, None for no limit), ``connect_timeout``,
    ``read_timeout`` and ``total_timeout`` (seconds, for Redis), ``retries`` (0 or 1),
    ``json_path``, ``json_fsync`` (True: what is written survives a power loss), ``custom_module``,
    and for a custom backend what its class takes.

    Raises TypeError for an argument that nobody knows, ImproperlyConfigured for a wrong one.
    Methods raise SessionStoreUnavailable where the store does not answer.
    """

    def __init__(
        self,
        sessions_type: SessionsType,
        id_factory: Callable[[], str] = lambda: str(uuid4()),
        is_session_crypt: bool = False,
        session_aes_secret: bytes | str | Sequence[bytes | str] | None = None,
        **module_kwargs: Any,
    ) -> None:
        session_ttl = check_ttl(module_kwargs.pop("session_ttl", SESSION_TTL))
        max_bytes = check_max_bytes(module_kwargs.pop("max_data_bytes", MAX_DATA_BYTES))
        if not callable(id_factory):
            raise ImproperlyConfigured("id_factory must be a function that returns a str.")
        limits = policy(*(module_kwargs.pop(name, value) for name, value in POLICY.items()))
        self.operations = Operations(_cipher(is_session_crypt, session_aes_secret), limits)
        if sessions_type == "json" and not module_kwargs.get("json_path"):
            module_kwargs["json_path"] = conf.json_path()
        self.backend = build(sessions_type, module_kwargs)
        self._steps = ModuleSteps(self.operations, id_factory, session_ttl, max_bytes)
        self.sync = SyncSessions(self._steps, self.backend)

    async def create(self, session_key: str, data: dict[str, Any]) -> str:
        """Store a new session under ``session_key`` and return its id.

        Raises TypeError, naming the key, for data that JSON can't hold, SessionDataTooLarge for
        more than ``max_data_bytes`` of it, SessionLimitReached where the key may not have one more;
        nothing is stored then.
        """
        return await arun(self.backend, self._steps.create(session_key, data))

    async def get(self, session_id: str, default: Any = RAISE) -> Any:
        """The session's data.

        Where there is no such session, ``default`` if one is given (None too), else
        SessionNotFoundError. An expired, forged or malformed id is no such session.
        """
        return await arun(self.backend, self._steps.get(session_id, default))

    async def update(self, session_id: str, data: dict[str, Any]) -> None:
        """Replace the session's data; its life of ``session_ttl`` begins anew.

        Raises SessionNotFoundError; TypeError and SessionDataTooLarge as create().
        """
        await arun(self.backend, self._steps.update(session_id, data))

    async def delete(self, session_id: str) -> None:
        """End the session. Raises SessionNotFoundError."""
        await arun(self.backend, self._steps.delete(session_id))

    async def rework(self, session_id: str) -> str:
        """Give the session a new id and return it; the old one is dead in the same step.

        Raises SessionNotFoundError.
        """
        return await arun(self.backend, self._steps.rework(session_id))

    async def clear(self, session_key: str) -> None:
        """End all sessions of the key in one atomic step, those of Django's engine too.

        Raises SessionNotFoundError where the key has none.
        """
        await arun(self.backend, self._steps.clear(session_key))

    async def clear_others(self, session_id: str) -> None:
        """End all sessions of this session's key but itself. Django's session_key will do.

        Raises SessionNotFoundError, and nothing is ended, where there is no such session.
        """
        await arun(self.backend, self._steps.clear_others(session_id))

    async def end(self, session_key: str, handle: str) -> None:
        """End the session of that handle, if it is one of the key's.

        Raises SessionNotFoundError.
        """
        await arun(self.backend, self._steps.end(session_key, handle))

    async def list(
        self,
        session_key: str,
        current: str | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[SessionInfo]:
        """A page of the key's live sessions, in no particular order; empty where there are none.

        ``current`` is the session id (Django's session_key will do) of the one to be marked
        ``is_current``. A page has about ``limit`` sessions, at the most twice as many; its
        ``cursor`` is the next page's, None at the end.
        """
        return await arun(self.backend, self._steps.list(session_key, current, limit, cursor))

    async def count(self, session_key: str) -> int:
        """How many sessions the key has. Above 1,000, expired ones not yet swept may count."""
        return await arun(self.backend, self._steps.count(session_key))

    async def keys(self, limit: int = 100, cursor: str | None = None) -> Page[KeyInfo]:
        """A page of the session keys that have sessions, in no particular order.

        A page is bounded by the work it takes: it may be short, or empty, and still have a
        ``cursor``. Anonymous sessions have no key. A key may come on more than one page.
        """
        return await arun(self.backend, self._steps.keys(limit, cursor))

    async def purge(self) -> int:
        """Remove expired sessions from the store; returns how many. They are dead without it."""
        return await arun(self.backend, self._steps.purge())


def _cipher(is_session_crypt: bool, secret: bytes | str | Sequence[bytes | str] | None) -> Cipher:
    if not is_session_crypt:
        return Plain()
    return Sealed(conf.secrets() if secret is None else parse_secrets(secret))
