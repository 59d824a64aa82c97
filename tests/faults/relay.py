"""A network of one's own before a real server: slow, lossy, or with a will of its own."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from ..proxy import Proxy

MOST = 10.0  # seconds that anything here waits for the server
CALLS = (b"EVALSHA", b"UNLINK")
Fate = Callable[[bytes, bool], str]
"""What becomes of some bytes; the second argument is whether they are a reply.

"" they pass; "late": they arrive when release() is called, and the client, which hears nothing
before, is cut off at once; "lost": as late, but the client is left to wait; "reset", "closed":
half of them arrive, and then both ends see a RST, or a FIN; "hole": they are gone, and so is all
that follows.
"""


class Relay(Proxy):
    """Each direction of a connection has a thread of its own."""

    def __init__(self, port: int, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.delay = self.jitter = 0.0  # seconds, for each direction
        self.piece = 0  # bytes that go at once; 0: as they come
        self.pause = 0.0  # seconds between pieces
        self.cuts: list[int] = []  # a reply is sent in parts that end there, with pauses between
        self.fate: Fate = lambda data, is_reply: ""
        self.waits = False
        self.left = 0  # of those that are to be held
        self.held: list[Link] = []
        self.links: list[Link] = []
        super().__init__(port)

    def hold(self, number: int, *only: bytes) -> None:
        """The next ``number`` requests with one of ``only`` in them are late, or where the client
        is to wait, lost. All of ours have one of CALLS."""
        self.left = number

        def fate(data: bytes, is_reply: bool) -> str:
            is_meant = any(each in data for each in only or CALLS)
            if is_reply or not self.left or not is_meant:
                return ""
            self.left -= 1
            return "lost" if self.waits else "late"

        self.fate = fate

    def release(self) -> int:
        """Let arrive what is late; how many requests that were."""
        held, self.held = self.held, []
        for link in held:
            link.deliver()
        return len(held)

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *args: Any) -> None:
        super().__exit__(*args)
        for link in self.links:
            link.end()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, client, server)
        self.links.append(link)
        replies = threading.Thread(target=link.pump, args=(server, client, True), daemon=True)
        replies.start()
        link.pump(client, server, False)


class Link:
    """One connection through a relay."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self.relay, self.client, self.server = relay, client, server
        self.held: list[bytes] = []
        self.is_held = self.is_hole = False
        self.answered = threading.Event()  # what was late has been carried out, or refused

    def pump(self, source: socket.socket, target: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not self._pass(data, target, is_reply):
                    return
        if not self.is_held or is_reply:
            self.end()

    def _pass(self, data: bytes, target: socket.socket, is_reply: bool) -> bool:
        """Whether more is to follow."""
        if self.is_held:
            if is_reply:
                self.answered.set()
            else:
                self.held.append(data)
            return True
        fate = "hole" if self.is_hole else self.relay.fate(data, is_reply)
        if fate in ("late", "lost"):
            self.is_held = True
            self.held.append(data)
            self.relay.held.append(self)
            if fate == "late":
                self.end_client()
            return True
        if fate == "hole":
            self.is_hole = True
            return True
        if fate:
            target.sendall(data[: len(data) // 2])
            self.end(with_reset=fate == "reset")
            return False
        self._send(data, target, is_reply)
        return True

    def _send(self, data: bytes, target: socket.socket, is_reply: bool) -> None:
        relay = self.relay
        if relay.delay:
            time.sleep(max(0.0, relay.delay + relay.random.uniform(-1, 1) * relay.jitter))
        size = relay.piece or len(data)
        ends = list(range(size, len(data), size)) if not (is_reply and relay.cuts) else relay.cuts
        for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
            if start:
                time.sleep(relay.pause)
            target.sendall(data[start:end])

    def deliver(self) -> None:
        with contextlib.suppress(OSError):
            self.server.sendall(b"".join(self.held))
            assert self.answered.wait(MOST)
        self.end()

    def end_client(self) -> None:
        _end(self.client, with_reset=True)

    def end(self, with_reset: bool = False) -> None:
        self.answered.set()
        for each in (self.client, self.server):
            _end(each, with_reset)


def _end(one: socket.socket, with_reset: bool) -> None:
    """Wake up who reads from it, for as long as somebody does it stays open."""
    with contextlib.suppress(OSError):
        if with_reset:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RD)
        else:
            one.shutdown(socket.SHUT_RDWR)
    one.close()
