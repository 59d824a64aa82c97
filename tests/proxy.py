"""A TCP proxy before a real server: it can lose a reply, and cut the connection or say nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any


class Proxy:
    def __init__(self, port: int) -> None:
        self.target = port
        self.lose = 0  # that many of the next replies
        self.only: bytes = b""  # only replies to requests that hold this
        self.is_deaf = False  # what is lost is not carried out either, before deliver()
        self.late: list[bytes] = []
        self.is_silent = False  # the connection stays, and nothing comes over it any more
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *args: Any) -> None:
        for each in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def deliver(self) -> None:
        """Carry out what was lost, now that nobody waits for it any more."""
        while self.late:
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                server.sendall(self.late.pop())
                server.recv(1 << 20)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [client, server]
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Requests go one by one: each is answered before the next comes."""
        with contextlib.suppress(OSError):
            while request := client.recv(1 << 20):
                is_lost = bool(self.lose) and self.only in request
                if is_lost and self.is_deaf:
                    self.late.append(request)
                else:
                    server.sendall(request)
                    reply = server.recv(1 << 20)
                if is_lost:
                    self.lose -= 1
                    if self.is_silent:
                        continue
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(reply)
