"""Blocking connections to Redis: redis-py makes them, then their sockets are talked to directly."""

from __future__ import annotations

import functools
import math
import os
import queue
import socket
import ssl
import struct
from collections.abc import Sequence
from time import monotonic
from typing import Any

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

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

MAX_CONNECTIONS = 50  # per process; who comes later waits
READ_SIZE = 65536  # bytes


class SocketLines:
    """A bounded number of connections, each for one thread at a time; the last used comes first."""

    def __init__(self, client: Any, total: float, given_up: Abandoned) -> None:
        self.client = client
        self._total = total
        pool = client.connection_pool
        self._wait: float = getattr(pool, "timeout", None) or math.inf
        self._idle: list[_Socket] = []
        self._abandoned = given_up
        self._tickets: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(min(pool.max_connections, 20 * MAX_CONNECTIONS)):
            self._tickets.put(None)

    def ask(self, command: Command, until: float, fresh: bool = False) -> Reply:
        """The reply; raises a RedisError or an OSError.

        ``until`` is a time of the monotonic clock. ``fresh`` asks for a connection that is made
        now: where one was lost, those that lay idle may be as well.
        """
        reply = self._exchange(pack(command), None, until, fresh)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def ask_all(self, commands: Sequence[Command], until: float) -> list[Reply]:
        """The replies, in one round trip, errors among them."""
        packed = b"".join(map(pack, commands))
        replies: list[Reply] = self._exchange(packed, len(commands), until, False)
        return replies

    def _exchange(self, packed: bytes, replies: int | None, until: float, fresh: bool) -> Reply:
        self._take_ticket(until)
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = _Socket(self.client.connection_pool, self._total, self._abandoned)
            try:
                if fresh or self._abandoned:
                    connection.close()
                return connection.exchange(packed, replies, until)
            except (redis.ConnectionError, OSError):
                # A server that ended has cut the idle ones, too: dead, each would keep a descriptor
                # until somebody happens to need as many at once again.
                self.close()
                raise
            finally:
                self._idle.append(connection)
        finally:
            self._tickets.put(None)

    def _take_ticket(self, until: float) -> None:
        try:
            self._tickets.get_nowait()
        except queue.Empty:
            wait = min(self._wait, until - monotonic())
            try:
                self._tickets.get(timeout=max(wait, 0))
            except queue.Empty:
                raise redis.ConnectionError("No connection became free.") from None

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


@functools.cache
def _bounded(connection_class: Any) -> Any:
    """The class, with an end to the handshake as a whole and not only to each of its replies."""

    class BoundedConnection(connection_class):  # type: ignore[misc]
        until = math.inf

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            left = self.until - monotonic()
            if left <= 0:
                raise late()
            self._sock.settimeout(_least(left, self.socket_timeout))
            return super().read_response(*args, **kwargs)

    return BoundedConnection


def _least(left: float, timeout: float | None) -> float:
    return left if timeout is None else min(left, timeout)


class _Socket:
    def __init__(self, pool: Any, total: float, given_up: Abandoned) -> None:
        # A client of one's own has retries: they would outlast the timeouts.
        options = {**pool.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
        self._connection = _bounded(pool.connection_class)(**options)
        self._connect_timeout = getattr(self._connection, "socket_connect_timeout", None)
        self._timeout = _least(total, self._connection.socket_timeout)
        self._set: float | None = None  # the timeout that the kernel knows
        self._socket: Any = None
        self._reader: Any = None
        self._buffer = bytearray(READ_SIZE)
        self._abandoned = given_up
        self._name: Name | None = None

    def exchange(self, packed: bytes, replies: int | None, until: float) -> Reply:
        """One reply, or a list of as many as ``replies`` says."""
        try:
            if self._socket is None:
                self._open(until)
            self._end_at(until)
            self._socket.sendall(packed)
            if replies is None:
                found = self._read(until)
            else:
                found = [self._read(until) for _ in range(replies)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._give_up()
            raise late() from None
        except hiredis.HiredisError:
            self._give_up()
            raise nonsense() from None
        except BaseException:  # a reply may be on its way yet: nobody must read it as their own
            self._give_up()
            raise
        if type(found) is exceptions.ReadOnlyError:
            self.close()  # another server is the primary now
        return found

    def _open(self, until: float) -> None:
        connection = self._connection
        left = until - monotonic()
        if left <= 0:
            raise late()
        connection.until = until
        connection.socket_connect_timeout = _least(left, self._connect_timeout)
        connection.connect()
        self._socket, self._reader, self._set = connection._sock, reader(), None
        with self._abandoned.closing() as commands:
            self._end_at(until)
            self._socket.sendall(b"".join(map(pack, commands)))
            self._name = abandoned.name([self._read(until) for _ in commands])

    def _end_at(self, until: float) -> None:
        """The kernel is told only where its timeout would be too long, and afterwards."""
        left = until - monotonic()
        wanted = self._timeout if left > self._timeout - SLACK else left
        if wanted != self._set:
            if wanted <= 0:
                raise late()
            _set_timeout(self._socket, wanted)
            self._set = wanted

    def _read(self, until: float) -> Reply:
        reader = self._reader
        is_first = True
        while True:
            reply = reader.gets()
            if reply is UNFINISHED:
                if not is_first:
                    self._end_at(until)
                is_first = False
                count = self._socket.recv_into(self._buffer)
                if count == 0:
                    raise closed()
                reader.feed(self._buffer, 0, count)
            elif type(reply) is not hiredis.PushNotification:  # which answers nothing
                return reply

    def _give_up(self) -> None:
        self._abandoned.add(self._name)
        if self._socket is not None:
            abandoned.drop(self._socket)
        self.close()

    def close(self) -> None:
        self._socket = self._reader = self._name = None
        self._connection.disconnect()


def _set_timeout(connected: socket.socket, seconds: float) -> None:
    """Leave it to the kernel: Python asks poll() before each call on a socket with a timeout."""
    if os.name != "posix":
        connected.settimeout(seconds)
        return
    microseconds = max(round(seconds * 1_000_000), 1)  # 0 would be for ever
    timeval = struct.pack("ll", *divmod(microseconds, 1_000_000))
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
    connected.settimeout(None)
