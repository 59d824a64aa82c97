"""Calls to Redis: EVALSHA and EVAL on NOSCRIPT, one retry, errors as SessionStoreUnavailable.

A call, its retry and whatever they wait for end before the total timeout does. What an attempt that
failed has taken is gone for all that the same request asks for later.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisClusterException

from ..exceptions import SessionStoreUnavailable
from ..patience import LEAST, Timeouts, left, lose
from .abandoned import Abandoned
from .clients import AsyncClients, Factory, SyncClients
from .scripts import Script
from .wire import Argument, Command, Reply

ERRORS = (redis.RedisError, RedisClusterException, OSError)
LOST = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    RedisClusterException,
    OSError,
)
"""The call may have been carried out or not, or another server is the one to ask. Each of ours may
be repeated."""


class Transport:
    """Every method has its awaited twin. ``gone`` is what a repeated call answers for 0: where a
    removal finds nothing at its second try, the first one did it."""

    def __init__(self, factory: Factory, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        given_up = Abandoned()
        self._sync = SyncClients(factory, timeouts.total, given_up)
        self._async = AsyncClients(factory, timeouts.total, given_up)

    def command(self, *command: Argument, gone: Reply = None, **options: Any) -> Reply:
        return self._ask(command, gone, **options)

    async def acommand(self, *command: Argument, gone: Reply = None, **options: Any) -> Reply:
        """See command()."""
        return await self._aask(command, gone, **options)

    def script(
        self, script: Script, key: str, arguments: Sequence[Argument], gone: Reply = None
    ) -> Reply:
        try:
            return self._ask(("EVALSHA", script.sha, 1, key, *arguments), gone)
        except _UnknownScriptError:
            return self._ask(("EVAL", script.text, 1, key, *arguments), gone)

    async def ascript(
        self, script: Script, key: str, arguments: Sequence[Argument], gone: Reply = None
    ) -> Reply:
        """See script()."""
        try:
            return await self._aask(("EVALSHA", script.sha, 1, key, *arguments), gone)
        except _UnknownScriptError:
            return await self._aask(("EVAL", script.text, 1, key, *arguments), gone)

    def _ask(self, command: Command, gone: Reply, **options: Any) -> Reply:
        try:
            lines = self._sync.get()
            started = monotonic()
            until = started + left(self._timeouts.total)
            try:
                return lines.ask(command, until, **options)
            except LOST as error:
                started = self._again(error, started, until)
            try:
                reply = lines.ask(command, until, fresh=True, **options)
            finally:
                lose(monotonic() - started)
            return gone if reply == 0 and gone is not None else reply
        except ERRORS as error:
            raise _typed(error) from error

    async def _aask(self, command: Command, gone: Reply, **options: Any) -> Reply:
        try:
            line = await self._async.get()
            started = monotonic()
            until = started + left(self._timeouts.total)
            try:
                return await line.ask(command, until, **options)
            except LOST as error:
                started = self._again(error, started, until)
            try:
                reply = await line.ask(command, until, fresh=True, **options)
            finally:
                lose(monotonic() - started)
            return gone if reply == 0 and gone is not None else reply
        except ERRORS as error:
            raise _typed(error) from error

    def _again(self, error: Exception, started: float, until: float) -> float:
        """When the second attempt begins; raises ``error`` where there is none."""
        now = monotonic()
        lose(now - started)
        if not self._timeouts.retries or until - now < LEAST:
            raise error
        return now

    def many(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> list[Reply]:
        """The script's reply for each of ``keys``, in one round trip (per node).

        One more where the server does not know the script: the first call brings it along.
        """
        replies: dict[str, Reply] = {}
        unasked, brings = list(keys), False
        while unasked:
            until = monotonic() + left(self._timeouts.total)
            calls = _calls(script, unasked, arguments, brings)
            with _typed_errors():
                try:
                    found = self._sync.get().ask_all(calls, until)
                except LOST as error:
                    found = [error] * len(unasked)
            replies.update(zip(unasked, found, strict=True))
            unasked = [key for key in unasked if isinstance(replies[key], Exception)]
            brings = not brings and any(isinstance(each, NoScriptError) for each in found)
            if unasked and not brings:
                first = unasked.pop(0)
                replies[first] = self.script(script, first, arguments)
        return [replies[key] for key in keys]

    async def amany(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> list[Reply]:
        """See many()."""
        replies: dict[str, Reply] = {}
        unasked, brings = list(keys), False
        while unasked:
            until = monotonic() + left(self._timeouts.total)
            calls = _calls(script, unasked, arguments, brings)
            with _typed_errors():
                try:
                    found = await (await self._async.get()).ask_all(calls, until)
                except LOST as error:
                    found = [error] * len(unasked)
            replies.update(zip(unasked, found, strict=True))
            unasked = [key for key in unasked if isinstance(replies[key], Exception)]
            brings = not brings and any(isinstance(each, NoScriptError) for each in found)
            if unasked and not brings:
                first = unasked.pop(0)
                replies[first] = await self.ascript(script, first, arguments)
        return [replies[key] for key in keys]

    def keys(self, pattern: str, count: int, cursor: str) -> tuple[list[bytes], str]:
        """A SCAN's page of keys and the next cursor, '' at the end; on a cluster node by node."""
        with _typed_errors():
            nodes = _primaries(self._sync.get().client)
        index, position = _position(cursor)
        command = ("SCAN", position, "MATCH", pattern, "COUNT", count)
        return _page(self.command(*command, **_target(nodes, index)), index, nodes)

    async def akeys(self, pattern: str, count: int, cursor: str) -> tuple[list[bytes], str]:
        """See keys()."""
        with _typed_errors():
            client = (await self._async.get()).client
            if hasattr(client, "get_primaries"):
                await client.initialize()
            nodes = _primaries(client)
        index, position = _position(cursor)
        command = ("SCAN", position, "MATCH", pattern, "COUNT", count)
        return _page(await self.acommand(*command, **_target(nodes, index)), index, nodes)


_CODE = re.compile(r"[A-Z]{3,16}\b")  # as in "MISCONF Errors writing to the AOF file"


class _UnknownScriptError(Exception):
    """The server was restarted, or its scripts were flushed: EVAL brings the script along."""


def _typed(error: Exception) -> Exception:
    if isinstance(error, NoScriptError):
        return _UnknownScriptError()
    # Only the kind of error: its text may show keys, or where the server is.
    below = error.__cause__ or error.__context__
    kind = type(below if isinstance(below, OSError) else error).__name__  # ConnectionRefusedError
    code = _CODE.match(str(error)) if isinstance(error, redis.ResponseError) else None
    if code is not None:
        kind += ", %s" % code[0]
    return SessionStoreUnavailable("Redis did not answer as it should: %s." % kind)


@contextlib.contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        raise _typed(error) from error


def _calls(
    script: Script, keys: Sequence[str], arguments: Sequence[Argument], brings: bool
) -> list[Command]:
    """A call for each key; where it ``brings`` the script, the first has it for those after it."""
    calls: list[Command] = [("EVALSHA", script.sha, 1, key, *arguments) for key in keys]
    if brings:
        calls[0] = ("EVAL", script.text, 1, keys[0], *arguments)
    return calls


def _primaries(client: Any) -> list[Any]:
    """A cluster's primaries in a stable order; nothing for a single server."""
    if not hasattr(client, "get_primaries"):
        return []
    return sorted(client.get_primaries(), key=lambda node: str(node.name))


def _position(cursor: str) -> tuple[int, int]:
    if not cursor:
        return 0, 0
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,20})", cursor)
    if match is None or int(match[2]) >= 1 << 64:
        raise ValueError("The cursor is not one that was returned.")
    return int(match[1]), int(match[2])


def _target(nodes: list[Any], index: int) -> dict[str, Any]:
    return {"target_nodes": nodes[min(index, len(nodes) - 1)]} if nodes else {}


def _page(reply: Reply, index: int, nodes: list[Any]) -> tuple[list[bytes], str]:
    cursor, keys = reply
    if isinstance(cursor, dict):  # a cluster's client says which node answered
        (cursor,) = cursor.values()
    if int(cursor):
        return keys, "%d-%d" % (index, int(cursor))
    return keys, "%d-0" % (index + 1) if index + 1 < len(nodes) else ""
