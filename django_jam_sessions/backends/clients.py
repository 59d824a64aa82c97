"""Redis clients from a URI or a function: one per process, and one per running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..patience import Timeouts
from .abandoned import Abandoned
from .lines import line, lines
from .sockets import MAX_CONNECTIONS

Factory = Callable[[bool], Any]
"""Takes is_async, returns a client of redis.asyncio or of redis."""

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")


def client_factory(uri: str | Factory, timeouts: Timeouts) -> Factory:
    """The function that makes clients; raises ImproperlyConfigured for a URI it can't read.

    A client of a function of one's own keeps its timeouts.
    """
    if callable(uri):
        return _checked(uri)
    scheme = uri.partition("://")[0] if isinstance(uri, str) else ""
    if scheme not in SCHEMES:
        raise ImproperlyConfigured(
            "redis_uri must be a function or a URI that begins with one of %s."
            % ", ".join("%s://" % known for known in SCHEMES)
        )
    build = {"redis+sentinel": _sentinel, "redis+cluster": _cluster}.get(scheme, _single)
    factory = _checked(lambda is_async: build(uri, is_async, timeouts))
    # Connects to nothing, and finds a mistake in the URI before the first call.
    factory(build is _cluster)
    return factory


def _checked(factory: Factory) -> Factory:
    def client(is_async: bool) -> Any:
        try:
            made = factory(is_async)
        except (ValueError, TypeError) as error:
            # Without the text of the error: it may show the URI, and so the password.
            kind = type(error).__name__
            raise ImproperlyConfigured("redis_uri makes no client: %s." % kind) from None
        if not hasattr(made, "execute_command"):
            raise ImproperlyConfigured("redis_uri's function returned no client.")
        if _decodes(made):
            raise ImproperlyConfigured("redis_uri: decode_responses must not be set.")
        return made

    return client


def _decodes(client: Any) -> bool:
    pool = getattr(client, "connection_pool", None)
    options = pool.connection_kwargs if pool else client.get_connection_kwargs()
    return bool(options.get("decode_responses"))


def _options(is_async: bool, timeouts: Timeouts) -> dict[str, Any]:
    # Retries are the transport's own: it knows which calls may be repeated.
    retry = redis.asyncio.retry.Retry if is_async else Retry
    return {
        "socket_connect_timeout": timeouts.connect,
        "socket_timeout": timeouts.read,
        "retry": retry(NoBackoff(), 0),
        **_NO_NOTIFICATIONS,
    }


try:
    from redis.maint_notifications import MaintNotificationsConfig
except ImportError:  # redis-py before 7.0
    _NO_NOTIFICATIONS: dict[str, Any] = {}
else:
    # They are a feature of Redis Enterprise; every other server answers each connection's question
    # about them with an error.
    _NO_NOTIFICATIONS = {"maint_notifications_config": MaintNotificationsConfig(enabled=False)}


def _single(uri: str, is_async: bool, timeouts: Timeouts) -> Any:
    parts = urlsplit(uri)
    is_number = re.fullmatch("[0-9]*", unquote(parts.path).replace("/", ""))
    if parts.scheme != "unix" and not is_number and "db=" not in parts.query:
        raise ValueError("the database is no number")  # which redis-py would take for 0
    library: Any = redis.asyncio if is_async else redis
    options = {"max_connections": MAX_CONNECTIONS, "timeout": timeouts.total}
    pool = library.BlockingConnectionPool.from_url(
        uri, **{**options, **_options(is_async, timeouts)}
    )
    pool.connection_class(**pool.connection_kwargs)  # connects to nothing, but knows its options
    return library.Redis(connection_pool=pool)


def _parts(uri: str, default_port: int) -> tuple[list[tuple[str, int]], list[str], dict[str, Any]]:
    """The hosts, the path's parts and the credentials of a URI of several hosts."""
    parts = urlsplit(uri)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if username:
        options["username"] = unquote(username)
    if password:
        options["password"] = unquote(password)
    addresses = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":") if ":" in host else (host, "", "")
        if not name:
            raise ValueError("a host has no name")
        addresses.append((name, int(port or default_port)))
    return addresses, [part for part in parts.path.split("/") if part], options


def _sentinel(uri: str, is_async: bool, timeouts: Timeouts) -> Any:
    """``redis+sentinel://[user:password@]host[:26379],…/service[/db]``"""
    sentinels, (service, *db), options = _parts(uri, 26379)
    library: Any = redis.asyncio.sentinel if is_async else redis.sentinel
    given = _options(is_async, timeouts)
    # Else it has its own retries for them: a Sentinel that is out is asked eleven times.
    found = library.Sentinel(sentinels, sentinel_kwargs=given, **given)
    options.update(_options(is_async, timeouts), db=int(db[0]) if db else 0)
    return found.master_for(service, **options)


def _cluster(uri: str, is_async: bool, timeouts: Timeouts) -> Any:
    """``redis+cluster://[user:password@]host[:6379],…``"""
    hosts, _, options = _parts(uri, 6379)
    library: Any = redis.asyncio.cluster if is_async else redis.cluster
    nodes = [library.ClusterNode(host, port) for host, port in hosts]
    options.update(_options(is_async, timeouts), require_full_coverage=False)
    return library.RedisCluster(startup_nodes=nodes, **options)


class SyncClients:
    """One client per process: what a fork inherits is left to the parent."""

    def __init__(self, factory: Factory, total: float, given_up: Abandoned) -> None:
        self._factory = factory
        self._total = total
        self._abandoned = given_up
        self._lines: dict[int, Any] = {}  # by process id

    def get(self) -> Any:
        """What lines() returns."""
        pid = os.getpid()
        found = self._lines.get(pid)
        return self._make(pid) if found is None else found

    def _make(self, pid: int) -> Any:
        made = lines(
            self._factory(False), self._total, self._abandoned
        )  # it has connected to nothing
        # Threads that begin at once make one each: all use the same. No lock, which a fork may copy
        # while it is taken.
        kept = self._lines.setdefault(pid, made)
        if kept is made:
            weakref.finalize(self, _close, made, pid)
            for other in set(self._lines) - {pid}:
                self._lines.pop(other, None)
        return kept


def _parts_of(client: Any) -> list[Any]:
    """What must be closed with a client: its pool, and the clients that ask Sentinel."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return [client]
    manager = getattr(pool, "sentinel_manager", None)
    return [client, pool, *(manager.sentinels if manager else ())]


def _close(lines: Any, pid: int) -> None:
    if pid == os.getpid():  # in a forked child the sockets are the parent's
        with contextlib.suppress(redis.RedisError, OSError):
            for each in [lines, *_parts_of(lines.client)]:
                each.close()


class AsyncClients:
    """One client per running event loop, closed with it.

    A client is bound to the loop it was made on. An async generator, which a loop finishes when it
    shuts down, is what closes it; a loop that was closed without that is dropped at the next call.
    """

    def __init__(self, factory: Factory, total: float, given_up: Abandoned) -> None:
        self._factory = factory
        self._total = total
        self._abandoned = given_up
        self._lines: dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None, None]]] = {}

    async def get(self) -> Any:
        """What line() returns."""
        loop = asyncio.get_running_loop()
        try:
            return self._lines[loop][0]
        except KeyError:
            return await self._make(loop)

    async def _make(self, loop: asyncio.AbstractEventLoop) -> Any:
        for closed in [other for other in self._lines if other.is_closed()]:
            self.forget(closed)
        made = line(self._factory(True), self._total, self._abandoned)
        lifetime = _lifetime(made, loop, weakref.ref(self))
        self._lines[loop] = made, lifetime
        await lifetime.__anext__()
        return made

    def forget(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lines.pop(loop, None)


async def _lifetime(
    line: Any, loop: asyncio.AbstractEventLoop, clients: weakref.ref[AsyncClients]
) -> AsyncGenerator[None, None]:
    # A weak reference: in a cycle the connections would be finalized before they are closed.
    try:
        yield
    finally:
        if (owner := clients()) is not None:
            owner.forget(loop)
        for each in [line, *_parts_of(line.client)]:
            await each.aclose()
