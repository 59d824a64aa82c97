"""A real server that a test can stop, start again, freeze, kill and fill up."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from testproject.server import find_server, free_port

START_SECONDS = 20.0


class Server:
    """On a port and in a directory that stay the same, so that it can come back."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options or ("--save", "", "--appendonly", "no")
        self.port = free_port()
        self.uri = "redis://127.0.0.1:%d/0" % self.port
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *args: Any) -> None:
        self.kill()

    def start(self, waits: bool = True) -> None:
        command = [find_server(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.directory), *self.options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        if waits:
            self.wait()

    def wait(self) -> None:
        """Until it answers; loading is no answer."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                self.call("PING")
                return
            time.sleep(0.02)
        raise RuntimeError("The server did not start.")

    def call(self, *command: Any, password: str | None = None) -> Any:
        """A client's call, for the test itself; it does not come in the way of others."""
        retry = Retry(NoBackoff(), 0)
        with redis.Redis(
            port=self.port, socket_timeout=5, password=password, retry=retry
        ) as client:
            return client.execute_command(*command)

    def save_and_stop(self) -> None:
        with contextlib.suppress(redis.ConnectionError):
            self.call("SHUTDOWN", "SAVE")
        self.kill()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait()
            self._process = None
