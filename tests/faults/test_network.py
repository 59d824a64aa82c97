"""Users go on clicking while the network between the site and the server is what networks are."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from django_jam_sessions import SessionModule

from ..conftest import Face
from .browsers import Crowd, Figures
from .relay import Fate, Relay
from .servers import Server
from .test_faults import SECONDS, USERS, kind, tell

__all__ = ["kind", "tell"]  # fixtures

READ_TIMEOUT = 0.3  # seconds
Fault = Callable[[Relay], Any]


@pytest.fixture
def relay(tmp_path: Path, settings: Any) -> Iterator[Relay]:
    settings.ROOT_URLCONF = "tests.faults.site"
    settings.MIDDLEWARE = ["django_jam_sessions.middleware.SessionMiddleware"]
    with Server(tmp_path) as server, Relay(server.port) as relay:
        settings.JAM_SESSIONS = {
            "SESSIONS_TYPE": "redis",
            "REDIS_URI": "redis://127.0.0.1:%d/0" % relay.port,
            "READ_TIMEOUT": READ_TIMEOUT,
        }
        yield relay


def nothing(data: bytes, is_reply: bool) -> str:
    return ""


def sometimes(fates: list[str], chance: float, of_replies: bool | None = None) -> Fate:
    """What is under way when users click; connections are made in peace."""
    choice = random.Random(7)

    def decide(data: bytes, is_reply: bool) -> str:
        if of_replies not in (None, is_reply) or not (is_reply or b"EVAL" in data):
            return ""
        return choice.choice(fates) if choice.random() < chance else ""

    return decide


@contextmanager
def slow(relay: Relay) -> Iterator[None]:
    relay.delay, relay.jitter = 0.05, 0.04
    yield
    relay.delay = 0


@contextmanager
def in_bits(relay: Relay) -> Iterator[None]:
    relay.piece = 1
    yield
    relay.piece = 0


@contextmanager
def late(relay: Relay) -> Iterator[None]:
    """What is lost is sent again, and arrives when nobody waits for it any more."""
    over = threading.Event()

    def deliver() -> None:
        while not over.wait(1.5 * READ_TIMEOUT):
            relay.release()

    relay.fate = sometimes(["lost"], 0.02, of_replies=False)
    thread = threading.Thread(target=deliver)
    thread.start()
    yield
    relay.fate = nothing
    over.set()
    thread.join()
    relay.release()


@contextmanager
def cut(relay: Relay) -> Iterator[None]:
    """In the midst of requests and of replies, with a RST or a FIN."""
    relay.fate = sometimes(["reset", "closed"], 0.05)
    yield
    relay.fate = nothing


@contextmanager
def swallowed(relay: Relay) -> Iterator[None]:
    """Nothing comes through, and nobody hears that it did not."""
    relay.fate = lambda data, is_reply: "hole"
    yield
    relay.fate = nothing


@pytest.mark.parametrize("fault", [slow, in_bits, late, cut, swallowed])
def test_nobody_is_signed_out_and_nothing_lost(
    relay: Relay, kind: str, tell: Any, fault: Fault
) -> None:
    crowd = Crowd(kind, USERS)

    def during() -> None:
        time.sleep(0.1)
        with fault(relay):
            time.sleep(SECONDS / 2)
        time.sleep(0.2)

    crowd.click(during)
    figures = crowd.settle()
    tell("%s, %s" % (fault.__name__.replace("_", " "), kind), figures)
    check(figures)


def check(figures: Figures) -> None:
    assert figures.signed_out == figures.resurrected == figures.lost == figures.doubled == 0
    assert figures.after == figures.before - figures.ended
    assert figures.served > 0


def test_a_reply_may_be_split_anywhere(relay: Relay, call: Face) -> None:
    module = SessionModule("redis", redis_uri="redis://127.0.0.1:%d/0" % relay.port)
    data = {"n": "x" * 30}
    session_id = call(module, "create", "5", data)
    relay.pause = 0.001
    for end in range(1, 120):
        relay.cuts = [end]
        assert call(module, "get", session_id) == data
    relay.cuts = [1, 2, 5, 6]
    assert len(call(module, "list", "5")) == 1
