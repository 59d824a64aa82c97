"""Commands and their replies on redis-py's connections.

redis-py makes a connection: address, TLS, credentials, Sentinel. Then its socket is talked to
directly, packed and parsed by hiredis: what redis-py does around a call takes longer than the call.
A blocking line serves one thread at a time. An awaited one serves a whole event loop: commands are
written as they come, and replies come in the order of the commands, so nobody waits for a
connection and who is cancelled leaves no reply behind for others to take for theirs.

A cluster's client, or one that is not redis-py's own class, is asked itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import redis
import redis.asyncio

from .abandoned import Abandoned
from .sockets import SocketLines
from .streams import StreamLine, within
from .wire import Command, Reply, hiredis, late


def lines(client: Any, total: float, given_up: Abandoned) -> SocketLines | ClientLines:
    """How a blocking client is spoken to; no call takes longer than ``total`` seconds."""
    is_ours = hiredis is not None and type(client) is redis.Redis
    return SocketLines(client, total, given_up) if is_ours else ClientLines(client)


def line(client: Any, total: float, given_up: Abandoned) -> StreamLine | AwaitedClientLines:
    """How an awaited client is spoken to."""
    is_ours = hiredis is not None and type(client) is redis.asyncio.Redis
    return StreamLine(client, total, given_up) if is_ours else AwaitedClientLines(client)


class ClientLines:
    """Calls end when the client's own timeouts say so: none begins after ``until``."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def ask(self, command: Command, until: float, fresh: bool = False, **options: Any) -> Reply:
        """See SocketLines.ask()."""
        if until <= monotonic():
            raise late()
        return self.client.execute_command(*command, **options)

    def ask_all(self, commands: Sequence[Command], until: float) -> list[Reply]:
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


class AwaitedClientLines:
    def __init__(self, client: Any) -> None:
        self.client = client

    async def ask(
        self, command: Command, until: float, fresh: bool = False, **options: Any
    ) -> Reply:
        """See SocketLines.ask()."""
        return await within(until, self.client.execute_command(*command, **options))

    async def ask_all(self, commands: Sequence[Command], until: float) -> list[Reply]:
        """See SocketLines.ask_all(); one round trip per node."""
        queued = _queued(self.client, commands).execute(raise_on_error=False)
        replies: list[Reply] = await within(until, queued)
        return replies

    async def aclose(self) -> None: ...
