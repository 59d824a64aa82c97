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
from typing import Any

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
    """Their names, the oldest first; a thread may add some while another has them closed."""

    def add(self, name: Name | None) -> None:
        if name is not None:
            self[name] = None
            self.forget(list(self)[:-MOST])

    def forget(self, names: list[Name]) -> None:
        for name in names:
            self.pop(name, None)


def closing(names: list[Name]) -> list[Command]:
    return [("CLIENT", "KILL", "ID", number, "ADDR", address) for number, address in names]


def name(reply: Reply) -> Name | None:
    """What ASK's reply says; None where the server does not tell, or tells what is of no use."""
    match = _NAME.match(reply) if isinstance(reply, bytes) else None
    return None if match is None else (match[1], match[2])


def drop(connected: Any) -> None:
    """What the kernel has not sent yet, or would send again, ends with the socket.

    Else it goes on for minutes after the socket was closed (tcp(7): tcp_orphan_retries).
    """
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
