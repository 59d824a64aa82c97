"""Users go on clicking while a real server fails: who is refused, and what is lost: nothing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from django_jam_sessions import SessionStoreUnavailable
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.patience import begin, end, lose

from ..conftest import Face
from .browsers import HEAD, Crowd, Figures
from .servers import Server
from .site import OWNER

# make faults has longer ones.
SECONDS = float(os.environ.get("FAULT_SECONDS", "0.7"))
USERS = int(os.environ.get("FAULT_USERS", "4"))
MOST = 2.5  # seconds that a request may take
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture(params=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path, settings: Any) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*options: str) -> Server:
        server = Server(tmp_path, *options)
        servers.append(server)
        settings.ROOT_URLCONF = "tests.faults.site"
        settings.MIDDLEWARE = ["django_jam_sessions.middleware.SessionMiddleware"]
        settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": server.uri}
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Any:
    """Prints a line of the table, and appends it to the file that FAULT_FIGURES names."""

    def tell(name: str, figures: Figures) -> None:
        line = figures.line(name)
        with capsys.disabled():
            sys.stdout.write("\n%s\n%s\n" % (HEAD, line))
        if path := os.environ.get("FAULT_FIGURES"):
            with Path(path).open("a") as file:
                file.write(line + "\n")

    return tell


def check(figures: Figures, refuses: bool | None) -> None:
    assert figures.signed_out == figures.resurrected == figures.lost == figures.doubled == 0
    assert figures.after == figures.before - figures.ended
    assert figures.served > 0
    if refuses is None:
        assert figures.refused < figures.served / 20
    else:
        assert (figures.refused > 0) is refuses
    assert figures.longest < 2 * MOST  # exactly: test_deadlines; here the machine is busy


Fault = Callable[[Server], Any]


@contextmanager
def killed(server: Server) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def restarted(server: Server) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@contextmanager
def frozen_for_a_moment(server: Server) -> Iterator[None]:
    """Longer than a read may take, shorter than a request may: the retry comes through."""
    server.freeze()
    time.sleep(1.3)
    server.thaw()
    yield


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    server.freeze()
    time.sleep(2.3)
    yield
    server.thaw()


@contextmanager
def loading(server: Server) -> Iterator[None]:
    """Each key takes a moment to load; in the meantime there is an answer, and it is LOADING."""
    fill = "for i = 1, 3000 do redis.call('SET', 'filler ' .. i, string.rep('x', 100)) end"
    server.call("EVAL", fill, 0)
    server.save_and_stop()
    delays = ("--key-load-delay", "400", "--loading-process-events-interval-bytes", "1024")
    server.options += delays
    server.start(waits=False)
    yield
    server.wait()


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    server.call("REPLICAOF", "127.0.0.1", "1")
    yield
    server.call("REPLICAOF", "NO", "ONE")


@contextmanager
def full(server: Server) -> Iterator[None]:
    server.call("CONFIG", "SET", "maxmemory", "1")
    yield
    server.call("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """A password that nobody was told: NOAUTH, for whoever connects."""
    server.call("CONFIG", "SET", "requirepass", "x")
    server.call("CLIENT", "KILL", "TYPE", "normal", password="x")
    yield
    server.call("CONFIG", "SET", "requirepass", "", password="x")


@contextmanager
def unsaved(server: Server) -> Iterator[None]:
    """A snapshot that can't be written: MISCONF."""
    (server.directory / "dump.rdb").mkdir()
    server.call("CONFIG", "SET", "save", "3600 1000000")
    server.call("BGSAVE")
    while server.call("INFO")["rdb_last_bgsave_status"] != "err":
        time.sleep(0.02)
    yield
    server.call("CONFIG", "SET", "save", "")


@contextmanager
def flushed_scripts(server: Server) -> Iterator[None]:
    with _again_and_again(lambda: server.call("SCRIPT", "FLUSH"), 0.005):
        yield


@contextmanager
def cut(server: Server) -> Iterator[None]:
    """Every connection is closed, some times a second."""
    with _again_and_again(lambda: server.call("CLIENT", "KILL", "TYPE", "normal"), 0.15):
        yield


@contextmanager
def _again_and_again(do: Callable[[], Any], seconds: float) -> Iterator[None]:
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.parametrize(
    ("fault", "options", "refuses"),
    [
        (killed, DURABLE, True),
        (restarted, DURABLE, True),
        (frozen_for_a_moment, (), False),
        (frozen, (), True),
        (loading, (), True),
        (read_only, (), True),
        (full, (), True),
        (locked, (), True),
        (unsaved, (), True),
        (flushed_scripts, (), False),
        (cut, (), None),  # whose connection is cut twice in a row is refused
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nobody_is_signed_out_and_nothing_lost(
    start: Any, kind: str, tell: Any, fault: Fault, options: Any, refuses: bool | None
) -> None:
    server = start(*options)
    crowd = Crowd(kind, USERS)

    def during() -> None:
        time.sleep(0.3)
        with fault(server):
            time.sleep(SECONDS)
        time.sleep(0.3)

    crowd.click(during)
    figures = crowd.settle()
    tell("%s, %s" % (fault.__name__.replace("_", " "), kind), figures)
    check(figures, refuses)


@pytest.mark.parametrize("asks_for", ["sign-in", "new id"])
@pytest.mark.parametrize(
    ("patience", "is_lost"),
    [({"TOTAL_TIMEOUT": 0.5}, False), ({"RETRIES": 0}, False), ({}, True)],
    ids=["the total", "one attempt", "what the request has left"],
)
def test_a_frozen_server_carries_out_no_new_id_that_nobody_is_told(
    start: Any, call: Face, settings: Any, asks_for: str, patience: Any, is_lost: bool
) -> None:
    server = start()
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "READ_TIMEOUT": 0.3, **patience}
    # The server knows the scripts.
    store = SessionStore()
    call(store, "update", {"cart": 1})
    call(store, "save")
    call(store, "cycle_key")
    if asks_for == "sign-in":
        call(store, "update", {OWNER: "5"})
    key = store._stored_key
    server.freeze()
    request = begin()
    if is_lost:
        lose(1.9)
    with pytest.raises(SessionStoreUnavailable):
        call(store, "save" if asks_for == "sign-in" else "cycle_key")
    end(request)
    time.sleep(0.05)
    server.thaw()
    assert call(SessionStore(key), "get", "cart") == 1
    assert call(configured.current(), "count", "5") == 0
