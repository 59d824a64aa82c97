"""The session engine: ``SESSION_ENGINE = "django_jam_sessions.engine"``.

Two words clash. In this module, and those named engine_…, Django's are spoken: ``session_key`` is
the *session id*, the secret in the cookie. Whose sessions these are, elsewhere the session key, is
the *owner* here.

A session's id says where its record lives, and that follows from the owner. So the id changes when
the owner does: at the save that stores another owner than was loaded. Until then the new id is
*allocated*: it is what ``session_key`` returns, so whoever is told of a login sees the id that the
cookie will have.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.utils.asyncio import async_unsafe

from .configured import configured
from .engine_steps import EngineSteps
from .engine_writes import CONFLICTS_END
from .exceptions import SessionLimitReached, SessionStoreUnavailable
from .steps import QUEUE, Steps, arun, run
from .unavailable import is_in_test

T = TypeVar("T")


class SessionStore(EngineSteps):
    failure: SessionStoreUnavailable | None = None  # the first one: nothing is asked after it
    hides_failure = False  # a template met it, and Django's templates went on
    flushed = False  # what the middleware asks before it deletes the cookie

    # Blocking

    @async_unsafe
    def load(self) -> dict[str, Any]:
        """The stored data; empty, and the key None, where there is no such session."""
        return self._run(self._load())

    @async_unsafe
    def exists(self, session_key: str | None) -> bool:
        return self._run(self._exists(session_key))

    @async_unsafe
    def create(self) -> None:
        self._run(self._alone(self._create()))

    @async_unsafe
    def save(self, must_create: bool = False) -> None:
        """Store the data; raises UpdateError where the session was ended meanwhile.

        With ``must_create`` it is stored under a new id: an id is never taken over from a client.
        """
        self._run(self._alone(self._save(must_create)))

    @async_unsafe
    def delete(self, session_key: str | None = None) -> None:
        self._run(self._alone(self._delete(session_key)))

    @async_unsafe
    def cycle_key(self) -> None:
        """Give the session a new id; raises SessionInterrupted where somebody's was ended."""
        self._run(self._alone(self._cycle_key()))

    @async_unsafe
    def touch(self) -> bool:
        """Note that a loaded session was used, at most once per TOUCH_INTERVAL.

        Returns whether it was made to live longer, as SLIDING has it.
        """
        return self._run(self._alone(self._touch()))

    @classmethod
    @async_unsafe
    def clear_expired(cls) -> None:
        configured.current().sync.purge()

    # Awaited

    async def aload(self) -> dict[str, Any]:
        """See load()."""
        return await self._arun(self._load())

    async def aexists(self, session_key: str | None) -> bool:
        return await self._arun(self._exists(session_key))

    async def acreate(self) -> None:
        await self._arun(self._alone(self._create()))

    async def asave(self, must_create: bool = False) -> None:
        """See save()."""
        await self._arun(self._alone(self._save(must_create)))

    async def adelete(self, session_key: str | None = None) -> None:
        await self._arun(self._alone(self._delete(session_key)))

    async def acycle_key(self) -> None:
        """See cycle_key()."""
        await self._arun(self._alone(self._cycle_key()))

    async def atouch(self) -> bool:
        """See touch()."""
        return await self._arun(self._alone(self._touch()))

    @classmethod
    async def aclear_expired(cls) -> None:
        await configured.current().purge()

    # The data, as SessionBase asks for it

    def _get_session(self, no_load: bool = False) -> dict[str, Any]:
        self.accessed = True
        data: dict[str, Any] | None = self.__dict__.get("_session_cache")
        if data is None and (no_load or self._stored_key is None):
            data = self.__dict__.setdefault("_session_cache", {})
        return self._look() if data is None else data

    _session = property(_get_session)

    @async_unsafe
    def _look(self) -> dict[str, Any]:
        """The first look at the store; a subclass's own load() is asked."""
        if type(self).load is SessionStore.load:
            return self._run(self._data())
        data: dict[str, Any] = self.__dict__.setdefault("_session_cache", self.load())
        return data

    async def _aget_session(self, no_load: bool = False) -> dict[str, Any]:
        """See _get_session()."""
        self.accessed = True
        data: dict[str, Any] | None = self.__dict__.get("_session_cache")
        if data is None and (no_load or self._stored_key is None):
            data = self.__dict__.setdefault("_session_cache", {})
        return await self._alook() if data is None else data

    async def _alook(self) -> dict[str, Any]:
        """See _look()."""
        if type(self).aload is SessionStore.aload:
            return await self._arun(self._data())
        data: dict[str, Any] = self.__dict__.setdefault("_session_cache", await self.aload())
        return data

    # No I/O

    def clear(self) -> None:
        super().clear()
        self._replaces = True

    def flush(self) -> None:
        super().flush()
        self._forget()
        self.flushed, self.has_moved = True, False

    async def aflush(self) -> None:
        await super().aflush()
        self._forget()
        self.flushed, self.has_moved = True, False

    def _alone(self, steps: Steps[T]) -> Steps[T]:
        """One write of a store at a time, whichever threads and tasks of the request want to: the
        next one begins with the id that the one before it has left."""
        yield QUEUE, self, CONFLICTS_END
        if self.failure is not None:
            raise self._failed_before(self.failure)
        return (yield from steps)

    def _run(self, steps: Steps[T]) -> T:
        if self.failure is not None:
            raise self._failed_before(self.failure)
        try:
            return run(self._backend, steps)
        except BaseException as error:
            self._failed(error)
            raise

    async def _arun(self, steps: Steps[T]) -> T:
        if self.failure is not None:
            raise self._failed_before(self.failure)
        try:
            return await arun(self._backend, steps)
        except BaseException as error:
            self._failed(error)
            raise

    def _failed(self, error: BaseException) -> None:
        self._allocated = None  # it may be stored: whoever saves again takes another id
        if isinstance(error, SessionStoreUnavailable):
            self.failure = error
            self.hides_failure |= is_in_test()
        elif isinstance(error, SessionLimitReached):
            self._stay_as_stored()

    def _failed_before(self, failure: SessionStoreUnavailable) -> SessionStoreUnavailable:
        """A store lives for one request: once it failed, nothing of that request waits again."""
        self.hides_failure |= is_in_test()
        error = SessionStoreUnavailable(str(failure))
        error.__cause__ = failure
        return error
