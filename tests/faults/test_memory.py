"""A server whose memory is full: what it may still do, and whom eviction signs out."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_jam_sessions import SessionModule, SessionStoreUnavailable, sessions
from django_jam_sessions.engine import SessionStore

from ..conftest import Face
from .servers import Server
from .site import OWNER

USERS = 200
ROOM = 400_000  # bytes, for the sessions of those who come later


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[Server]:
    with Server(tmp_path) as server:
        settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": server.uri}
        yield server


def limit(server: Server, policy: str) -> None:
    server.call("CONFIG", "SET", "maxmemory-policy", policy)
    used = int(server.call("INFO")["used_memory"])
    server.call("CONFIG", "SET", "maxmemory", str(used + ROOM))


def sign_in(call: Face, owner: str) -> str:
    store = SessionStore()
    call(store, "update", {OWNER: owner, "text": "x" * 500})
    call(store, "save")
    return store.session_key or ""


def fill(call: Face) -> int:
    """How many came in before the server took no more."""
    for number in itertools.count():
        try:
            sign_in(call, "late-%d" % number)
        except SessionStoreUnavailable:
            return number
    raise AssertionError


def test_a_full_server_serves_those_who_are_signed_in(server: Server, call: Face) -> None:
    keys = [sign_in(call, "user-%d" % number) for number in range(USERS)]
    limit(server, "noeviction")
    late = fill(call)
    assert late > 0
    module = SessionModule("redis", redis_uri=server.uri)
    for number, key in enumerate(keys):
        store = SessionStore(key)
        assert call(store, "get", OWNER) == "user-%d" % number
        assert call(module, "count", "user-%d" % number) == 1
    (info,) = call(module, "list", "user-0")
    with pytest.raises(SessionStoreUnavailable):
        call(module, "create", "user-0", {"text": "x" * 500})
    call(module, "end", "user-0", info.handle)
    call(SessionStore(keys[1]), "delete", keys[1])
    call(module, "clear_others", keys[2])
    for number in range(3, 100):
        call(module, "clear", "user-%d" % number)
    assert [call(module, "count", "user-%d" % number) for number in range(4)] == [0, 0, 1, 0]
    assert call(module, "purge") == 0
    for number in range(late):
        call(module, "clear", "late-%d" % number)
    assert sign_in(call, "user-0")  # there is room again


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction_signs_users_out_whole(
    server: Server, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails closed: a user has all sessions or none, and nobody has another's."""
    call = Face(None)
    owners = ["user-%d" % number for number in range(USERS)]
    keys = {owner: [sign_in(call, owner) for _ in range(2)] for owner in owners}
    limit(server, policy)
    for number in range(3 * USERS):
        sign_in(call, "late-%d" % number)
    server.call("CONFIG", "SET", "maxmemory", "0")  # or it goes on while we look
    figures = {"kept": 0, "signed out": 0, "in part": 0, "wrong": 0}
    for owner in owners:
        found = [SessionStore(key).get(OWNER) for key in keys[owner]]
        listed = sessions.sync.count(owner)
        if found == [owner, owner] and listed == 2:
            figures["kept"] += 1
        elif found == [None, None] and listed == 0:
            figures["signed out"] += 1
        else:
            figures["in part" if {*found} <= {owner, None} else "wrong"] += 1
    with capsys.disabled():
        sys.stdout.write("\n%s, %d users: %s\n" % (policy, USERS, figures))
    assert figures["signed out"] > 0
    assert figures["in part"] == figures["wrong"] == 0
