"""Awaited connections to Redis: redis-py makes one, and all of an event loop share it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import Any, TypeVar

from redis import exceptions

from . import abandoned
from .abandoned import Abandoned, Name
from .wire import (
    SLACK,
    UNFINISHED,
    Command,
    Reply,
    closed,
    hiredis,
    late,
    nonsense,
    pack,
    reader,
)

T = TypeVar("T")


async def within(until: float, awaitable: Awaitable[T]) -> T:
    """What it returns; raises redis.TimeoutError where it lasts longer than until then."""
    try:
        return await asyncio.wait_for(awaitable, until - monotonic())
    except asyncio.TimeoutError:
        raise late() from None


class StreamLine:
    """One connection for all of an event loop."""

    def __init__(self, client: Any, total: float, given_up: Abandoned) -> None:
        self.client = client
        pool = client.connection_pool
        self._connection = pool.connection_class(**pool.connection_kwargs)
        self._timeout = min(pool.connection_kwargs.get("socket_timeout") or total, total)
        self._total = total
        self._opening: asyncio.Task[_Stream] | None = None
        self._stream: _Stream | None = None
        self._abandoned = given_up

    async def ask(self, command: Command, until: float, fresh: bool = False) -> Reply:
        """The reply; raises a RedisError or an OSError. See SocketLines.ask(): a connection that
        was lost is never used again, so ``fresh`` asks for nothing more."""
        stream = self._stream
        if stream is None or stream.is_lost:
            stream = await self._open(until)
        if until - monotonic() < self._timeout - SLACK:
            return await within(until, stream.send(command))
        return await stream.send(command)

    async def ask_all(self, commands: Sequence[Command], until: float) -> list[Reply]:
        """The replies, in one round trip, errors among them."""
        stream = await self._open(until)
        sent = [stream.send(command) for command in commands]
        return await within(until, asyncio.gather(*sent, return_exceptions=True))

    async def _open(self, until: float) -> _Stream:
        """All who want a connection wait for the same one, and share its failure. It is not
        theirs: who is cancelled, or waits no longer, leaves it to the others."""
        if self._stream is not None and not self._stream.is_lost:
            return self._stream
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._connect())
            self._opening.add_done_callback(self._opened)
        return await within(until, asyncio.shield(self._opening))

    async def _connect(self) -> _Stream:
        await self._connection.disconnect(nowait=True)
        until = monotonic() + self._total
        await within(until, self._connection.connect())
        transport = self._connection._writer.transport
        stream = _Stream(transport, self._timeout, self._abandoned)
        try:
            await self._greet(stream, until)
        except BaseException:
            stream.lose(closed())
            raise
        self._stream = stream
        return stream

    async def _greet(self, stream: _Stream, until: float) -> None:
        with self._abandoned.closing() as commands:
            sent = [stream.send(each) for each in commands]
            said = await within(until, asyncio.gather(*sent, return_exceptions=True))
            if stream.is_lost:
                raise said[0] if isinstance(said[0], Exception) else closed()
            stream.name = abandoned.name(said)

    def _opened(self, task: asyncio.Task[_Stream]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # it was looked at, even where nobody waits any more

    async def aclose(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._opening
        if self._stream is not None:
            self._stream.lose(closed())
        await self._connection.disconnect()


class _Stream(asyncio.Protocol):
    """What takes over a connection once redis-py has made it."""

    def __init__(self, transport: Any, timeout: float, given_up: Abandoned) -> None:
        self.is_lost = False
        self.name: Name | None = None
        self._abandoned = given_up
        self._transport = transport
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = reader()
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._previous = transport.get_protocol()
        transport.set_protocol(self)

    def send(self, command: Command) -> asyncio.Future[Reply]:
        reply: asyncio.Future[Reply] = self._loop.create_future()
        if self.is_lost:  # between its opening and this
            reply.set_exception(closed())
            return reply
        self._waiting.append((reply, self._loop.time()))
        self._transport.write(pack(command))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._check, self._timeout)
        return reply

    def _check(self, timeout: float) -> None:
        """One timer for all: whoever has waited longest is looked at."""
        self._watch = None
        if self._waiting:
            left = self._waiting[0][1] + timeout - self._loop.time()
            if left > 0:
                self._watch = self._loop.call_later(left, self._check, timeout)
            else:
                self.lose(late())

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not UNFINISHED:
                if type(reply) is not hiredis.PushNotification:
                    self._answer(reply)
        except (hiredis.HiredisError, IndexError):
            self.lose(nonsense())

    def _answer(self, reply: Reply) -> None:
        waiter, _ = self._waiting.popleft()
        if not waiter.done():  # not cancelled
            if isinstance(reply, Exception):
                waiter.set_exception(reply)
            else:
                waiter.set_result(reply)
        if isinstance(reply, exceptions.ReadOnlyError):
            self.lose(reply)  # another server is the primary now

    def connection_lost(self, error: Exception | None) -> None:
        self._previous.connection_lost(error)
        self.lose(closed())

    def lose(self, error: Exception) -> None:
        """Nobody who waits gets an answer on this connection any more."""
        self.is_lost = True
        if self._waiting:
            self._abandoned.add(self.name)
            if not self._transport.is_closing():
                abandoned.drop(self._transport.get_extra_info("socket"))
        self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            waiter, _ = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error)
