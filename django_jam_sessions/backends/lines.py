"""Commands and their replies on redis-py's connections.

redis-py makes a connection: address, TLS, credentials, Sentinel. Then its socket is talked to
directly, packed and parsed by hiredis: what redis-py does around a call takes longer than the call.
A blocking line serves one thread at a time. An awaited one serves a whole event loop: commands are
written as they come, and replies come in the order of the commands, so nobody waits for a
connection and who is cancelled leaves no reply behind for others to take for theirs.

A cluster's client, or one that is not redis-py's own class, is asked itself.
"""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from redis import exceptions

try:
    import hiredis
except ImportError:
    hiredis = None  # type: ignore[assignment]  # redis-py does without it, and so do we

Reply = Any
"""What redis-py returns: int, bytes, None or a list."""

Argument = str | bytes | int
Command = tuple[Argument, ...]

MAX_CONNECTIONS = 50  # per process, where blocking; who comes later waits
POOL_TIMEOUT = 20.0  # seconds that they wait
READ_SIZE = 65536  # bytes

_UNFINISHED = object()
_ERRORS = {
    "LOADING": exceptions.BusyLoadingError,
    "NOAUTH": exceptions.AuthenticationError,
    "NOPERM": exceptions.NoPermissionError,
    "NOSCRIPT": exceptions.NoScriptError,
    "OOM": exceptions.OutOfMemoryError,
    "READONLY": exceptions.ReadOnlyError,
}


_pack: Any = hiredis and hiredis.pack_command


def _error(message: str) -> Exception:
    return _ERRORS.get(message.partition(" ")[0], exceptions.ResponseError)(message)


def _reader() -> Any:
    return hiredis.Reader(replyError=_error, notEnoughData=_UNFINISHED)


def _closed() -> Exception:
    return redis.ConnectionError("The connection was closed.")


def _late() -> Exception:
    return redis.TimeoutError("The server did not answer in time.")


def _nonsense() -> Exception:
    return redis.InvalidResponse("The server broke the protocol.")


def lines(client: Any) -> SocketLines | ClientLines:
    """How a blocking client is spoken to."""
    is_ours = hiredis is not None and type(client) is redis.Redis
    return SocketLines(client) if is_ours else ClientLines(client)


def line(client: Any) -> StreamLine | AwaitedClientLines:
    """How an awaited client is spoken to."""
    is_ours = hiredis is not None and type(client) is redis.asyncio.Redis
    return StreamLine(client) if is_ours else AwaitedClientLines(client)


class SocketLines:
    """A bounded number of connections, each for one thread at a time; the last used comes first."""

    def __init__(self, client: Any) -> None:
        self.client = client
        pool = client.connection_pool
        self._wait: float = getattr(pool, "timeout", None) or POOL_TIMEOUT
        self._idle: list[_Socket] = []
        self._tickets: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(min(pool.max_connections, 20 * MAX_CONNECTIONS)):
            self._tickets.put(None)

    def ask(self, command: Command) -> Reply:
        """The reply; raises a RedisError or an OSError."""
        reply = self._exchange(_pack(command), None)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def ask_all(self, commands: Sequence[Command]) -> list[Reply]:
        """The replies, in one round trip, errors among them."""
        replies: list[Reply] = self._exchange(b"".join(map(_pack, commands)), len(commands))
        return replies

    def _exchange(self, packed: bytes, replies: int | None) -> Reply:
        try:
            self._tickets.get(timeout=self._wait)
        except queue.Empty:
            raise redis.ConnectionError("No connection became free.") from None
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = _Socket(self.client.connection_pool)
            try:
                return connection.exchange(packed, replies)
            finally:
                self._idle.append(connection)
        finally:
            self._tickets.put(None)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Socket:
    def __init__(self, pool: Any) -> None:
        self._connection = pool.connection_class(**pool.connection_kwargs)
        self._socket: Any = None
        self._reader: Any = None
        self._buffer = bytearray(READ_SIZE)

    def exchange(self, packed: bytes, replies: int | None) -> Reply:
        """One reply, or a list of as many as ``replies`` says."""
        try:
            if self._socket is None:
                self._open()
            self._socket.sendall(packed)
            found = self._read() if replies is None else [self._read() for _ in range(replies)]
        except BlockingIOError:
            self.close()
            raise _late() from None
        except hiredis.HiredisError:
            self.close()
            raise _nonsense() from None
        except BaseException:  # a reply may be on its way yet: nobody must read it as their own
            self.close()
            raise
        if type(found) is exceptions.ReadOnlyError:
            self.close()  # another server is the primary now
        return found

    def _open(self) -> None:
        self._connection.connect()
        self._socket, self._reader = self._connection._sock, _reader()
        _leave_timeouts_to_the_kernel(self._socket)

    def _read(self) -> Reply:
        reader = self._reader
        while True:
            reply = reader.gets()
            if reply is _UNFINISHED:
                count = self._socket.recv_into(self._buffer)
                if count == 0:
                    raise _closed()
                reader.feed(self._buffer, 0, count)
            elif type(reply) is not hiredis.PushNotification:  # which answers nothing
                return reply

    def close(self) -> None:
        self._socket = self._reader = None
        self._connection.disconnect()


def _leave_timeouts_to_the_kernel(connected: socket.socket) -> None:
    """Python asks poll() before each call on a socket that has a timeout."""
    timeout = connected.gettimeout()
    if timeout is not None and os.name == "posix":
        timeval = struct.pack("ll", int(timeout), int(timeout % 1 * 1_000_000))
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        connected.settimeout(None)


class ClientLines:
    def __init__(self, client: Any) -> None:
        self.client = client

    def ask(self, command: Command, **options: Any) -> Reply:
        """See SocketLines.ask()."""
        return self.client.execute_command(*command, **options)

    def ask_all(self, commands: Sequence[Command]) -> list[Reply]:
        """See SocketLines.ask_all(); one round trip per node."""
        replies: list[Reply] = _queued(self.client, commands).execute(raise_on_error=False)
        return replies

    def close(self) -> None: ...


def _queued(client: Any, commands: Sequence[Command]) -> Any:
    is_cluster = hasattr(client, "get_primaries")
    pipeline = client.pipeline() if is_cluster else client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline


class StreamLine:
    """One connection for all of an event loop."""

    def __init__(self, client: Any) -> None:
        self.client = client
        pool = client.connection_pool
        self._connection = pool.connection_class(**pool.connection_kwargs)
        self._timeout: float | None = pool.connection_kwargs.get("socket_timeout")
        self._opening = asyncio.Lock()
        self._stream: _Stream | None = None

    async def ask(self, command: Command) -> Reply:
        """The reply; raises a RedisError or an OSError."""
        stream = self._stream
        if stream is None or stream.is_lost:
            stream = await self._open()
        return await stream.send(command)

    async def ask_all(self, commands: Sequence[Command]) -> list[Reply]:
        """The replies, in one round trip, errors among them."""
        stream = await self._open()
        sent = [stream.send(command) for command in commands]
        return await asyncio.gather(*sent, return_exceptions=True)

    async def _open(self) -> _Stream:
        async with self._opening:
            if self._stream is None or self._stream.is_lost:
                await self._connection.disconnect(nowait=True)
                await self._connection.connect()
                self._stream = _Stream(self._connection._writer.transport, self._timeout)
            return self._stream

    async def aclose(self) -> None:
        if self._stream is not None:
            self._stream.lose(_closed())
        await self._connection.disconnect()


class _Stream(asyncio.Protocol):
    """What takes over a connection once redis-py has made it."""

    def __init__(self, transport: Any, timeout: float | None) -> None:
        self.is_lost = False
        self._transport = transport
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = _reader()
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._previous = transport.get_protocol()
        transport.set_protocol(self)

    def send(self, command: Command) -> asyncio.Future[Reply]:
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append((reply, self._loop.time()))
        self._transport.write(_pack(command))
        if self._watch is None and self._timeout is not None:
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
                self.lose(_late())

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _UNFINISHED:
                if type(reply) is not hiredis.PushNotification:
                    self._answer(reply)
        except (hiredis.HiredisError, IndexError):
            self.lose(_nonsense())

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
        self.lose(_closed())

    def lose(self, error: Exception) -> None:
        """Nobody who waits gets an answer on this connection any more."""
        self.is_lost = True
        self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            waiter, _ = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error)


class AwaitedClientLines:
    def __init__(self, client: Any) -> None:
        self.client = client

    async def ask(self, command: Command, **options: Any) -> Reply:
        """See SocketLines.ask()."""
        return await self.client.execute_command(*command, **options)

    async def ask_all(self, commands: Sequence[Command]) -> list[Reply]:
        """See SocketLines.ask_all(); one round trip per node."""
        replies: list[Reply] = await _queued(self.client, commands).execute(raise_on_error=False)
        return replies

    async def aclose(self) -> None: ...
