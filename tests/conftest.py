"""A real server for the suite, and every store that it runs over."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.utils import translation

from django_jam_sessions import SessionModule
from testproject.server import running

from . import leaks
from .stores import STORES, options_of


@pytest.fixture(scope="session")
def redis_uri(worker_id: str) -> Iterator[str]:
    """The URI of a real server. Without one the suite fails; it skips nothing."""
    if given := os.environ.get("TEST_REDIS_URI"):
        # Others may use that server: each worker keeps to a prefix of its own.
        yield given
    else:
        with running() as uri:
            yield uri


@pytest.fixture(scope="session")
def redis_client(redis_uri: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_uri) as client:
        yield client


@pytest.fixture
def prefix(redis_client: redis.Redis, worker_id: str) -> Iterator[str]:
    """A ``sessions_path`` of the test's own, removed afterwards."""
    name = "jam-test-%s-%d" % (worker_id, os.getpid())
    yield name
    keys = list(redis_client.scan_iter(match=name + ":*", count=1000))
    if keys:
        redis_client.unlink(*keys)


@pytest.fixture(params=STORES)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, redis_uri: str, prefix: str
) -> dict[str, Any]:
    """SessionModule's arguments for each backend."""
    return options_of(request.param, tmp_path, redis_uri, prefix)


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def is_session_crypt(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def module(store: dict[str, Any], is_session_crypt: bool) -> SessionModule:
    """A module on each backend, plain and encrypted."""
    return SessionModule(is_session_crypt=is_session_crypt, **store)


@pytest.fixture
def jam_settings(settings: Any, store: dict[str, Any], is_session_crypt: bool) -> Any:
    """Django's settings, with the engine on each backend, plain and encrypted."""
    settings.JAM_SESSIONS = {
        **{name.upper(): value for name, value in store.items()},
        "IS_SESSION_CRYPT": is_session_crypt,
    }
    return settings


class Face:
    """Calls a method ``x`` of a backend or a store, or its twin ``ax`` on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.used: list[Any] = []  # clients close with the loop: nothing goes before it

    def __call__(self, target: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        self.used.append(target)
        if isinstance(target, SessionModule):
            target, twin = (target.sync, name) if self.loop is None else (target, name)
        else:
            twin = name if self.loop is None else "a" + name
        result = getattr(target, twin)(*args, **kwargs)
        return result if self.loop is None else self.loop.run_until_complete(result)


@pytest.fixture(params=["blocking", "async"])
def call(request: pytest.FixtureRequest) -> Iterator[Face]:
    """``call(target, "method", …)``, on both faces."""
    if request.param == "blocking":
        yield Face(None)
        return
    loop = asyncio.new_event_loop()
    yield Face(loop)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture(scope="session", autouse=True)
def leaks_are_looked_for() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        leaks.install(patch)
        yield


@pytest.fixture(autouse=True)
def no_leaks(leaks_are_looked_for: None) -> Iterator[None]:
    """No id that the test is issued is shown anywhere: see leaks."""
    with leaks.watching() as watch:
        yield
    assert watch.found == []


@pytest.fixture(autouse=True)
def no_language_stays() -> Iterator[None]:
    """LocaleMiddleware leaves a request's language to the thread."""
    yield
    translation.deactivate()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the clock of this process, in seconds. A server's clock is its own."""
    real = time.time_ns
    ahead = 0

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += int(seconds * 1_000_000_000)

    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead)
    return move
