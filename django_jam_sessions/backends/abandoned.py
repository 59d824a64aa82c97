"""Connections that were given up while a command was under way: it must not arrive any more.

A network that sends lost packets again, a proxy or a server that stood still may deliver a command
long after its client has given it up, and others have succeeded since. So a new connection asks
under which name the server knows it, and has the server close those that were given up: what comes
on them later is never read.

Who may not call ``CLIENT INFO`` and ``CLIENT KILL`` does without, and so do clients of a cluster.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import redis

from .wire import Command, Reply

MOST = 100  # names that are remembered
ASK: Command = ("CLIENT", "INFO")  # since Redis 6.2

Name = tuple[bytes, bytes]
"""A connection's id and the client's address, as the server has them. A server that was started
again, or another one, gives the same ids again, to others."""

# A port of 0 is a Unix socket's.
_NAME = re.compile(rb"id=([0-9]+) addr=(\S+:[1-9][0-9]*) ")
_NO_LINGER = struct.pack("ii", 1, 0)


class Abandoned(dict[Name, None]):
    """Their names, the oldest first: of all connections of a process, in each thread and loop."""

    def add(self, name: Name | None) -> None:
        if name is not None:
            self[name] = None
            for each in list(self)[:-MOST]:
                self.pop(each, None)

    @contextlib.contextmanager
    def closing(self) -> Iterator[list[Command]]:
        """What a new connection says first. Nobody else closes the same ones meanwhile: else all
        who come back to a server at once would ask it for all; where it fails they are kept."""
        names = [each for each in list(self) if self.pop(each, False) is None]
        kill = [("CLIENT", "KILL", "ID", number, "ADDR", address) for number, address in names]
        try:
            yield [ASK, *kill]
        except BaseException:
            self.update(dict.fromkeys(names))
            raise


def name(replies: Sequence[Reply]) -> Name | None:
    """What a new connection is called, None where the server does not tell, or tells what is of no
    use. Raises the error of one that a script holds up: nothing was closed."""
    for reply in replies:
        if isinstance(reply, redis.ResponseError) and str(reply).startswith("BUSY"):
            raise reply
    match = _NAME.match(replies[0]) if isinstance(replies[0], bytes) else None
    return None if match is None else (match[1], match[2])


def drop(connected: Any) -> None:
    """What the kernel has not sent yet, or would send again, ends with the socket.

    Else it goes on for minutes after the socket was closed (tcp(7): tcp_orphan_retries).
    """
    if connected is None:  # Python 3.10's TLS, which the server has cut
        return
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
