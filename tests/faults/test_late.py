"""A command that arrives after its client has given it up: what is said since then stays true.

That is what a network does that loses packets and sends them again, a proxy that was busy, or a
server that stood still. The relay cuts the client off, lets everything else pass, and delivers what
it has held back in the end.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from django_jam_sessions import SessionModule, SessionStoreUnavailable
from django_jam_sessions.backends import abandoned, scripts

from ..conftest import Face
from .late import (
    SCENES,
    World,
    clear_and_create,
    login_and_logout,
    update_and_update,
)
from .relay import MOST, Relay
from .servers import Server

HOLD = """
local ends = redis.call('TIME')[1] + 2
while tonumber(redis.call('TIME')[1]) < ends do end
"""


@pytest.fixture
def world(
    call: Face, redis_uri: str, redis_client: redis.Redis, prefix: str, settings: Any
) -> Iterator[World]:
    for each in vars(scripts).values():
        if isinstance(each, scripts.Script):
            redis_client.script_load(each.text)
    with Relay(urlsplit(redis_uri).port or 6379) as relay:
        settings.JAM_SESSIONS = {
            "SESSIONS_TYPE": "redis",
            "REDIS_URI": "redis://127.0.0.1:%d/0" % relay.port,
            "SESSIONS_PATH": prefix,
        }
        yield World(call, relay, redis_client, prefix)


@pytest.mark.parametrize("number", [1, 2], ids=["made good", "failed"])
@pytest.mark.parametrize("scene", SCENES)
def test_what_arrives_late_changes_nothing(
    world: World, scene: Callable[[World], None], number: int
) -> None:
    world.number = number
    scene(world)
    before = world.state()
    assert world.relay.release() == number
    assert world.state() == before
    world.create("7")  # tidies
    assert world.nobodys() == 0


@pytest.mark.parametrize("scene", [update_and_update, login_and_logout, clear_and_create])
def test_who_waits_in_vain_is_followed_by_nothing_either(
    world: World, scene: Callable[[World], None], settings: Any
) -> None:
    """As above, but the client hears nothing until its own timeout ends the wait."""
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "READ_TIMEOUT": 0.5, "TOTAL_TIMEOUT": 5}
    world = World(world.face, world.relay, world.client, world.prefix)
    world.relay.waits = True
    scene(world)
    before = world.state()
    assert world.relay.release() == 1
    assert world.state() == before


def test_a_server_that_forbids_to_close_connections_is_used_all_the_same(
    call: Face, tmp_path: Path
) -> None:
    with Server(tmp_path) as server, Relay(server.port) as relay:
        rules = ["on", ">x", "~*", "&*", "+@all", "-client|kill", "-client|info"]
        server.call("ACL", "SETUSER", "site", *rules)
        uri = "redis://site:x@127.0.0.1:%d/0" % relay.port
        module = SessionModule("redis", redis_uri=uri)
        session_id = call(module, "create", "5", {})
        for number in range(3):
            relay.hold(1)
            call(module, "update", session_id, {"n": number})
            assert call(module, "get", session_id) == {"n": number}


def test_nobody_elses_connection_is_closed(tmp_path: Path) -> None:
    """A server that was started again has given the id to another client."""
    with Server(tmp_path) as server, redis.Redis(port=server.port) as other:
        other.client_setname("other")
        number = b"%d" % int(str(other.client_id()))
        names = abandoned.Abandoned()
        names.add((number, b"127.0.0.1:1"))
        with names.closing() as (_, command):
            assert server.call(*command) == 0
        assert other.client_getname() == "other"


def test_a_connection_is_closed_by_one_who_comes_back_and_not_by_all() -> None:
    names = abandoned.Abandoned()
    names.add((b"1", b"127.0.0.1:1"))
    with names.closing() as first, names.closing() as second:
        assert (len(first), len(second)) == (2, 1)
    assert not names


def test_what_could_not_be_closed_is_left_to_the_next() -> None:
    names = abandoned.Abandoned()
    names.add((b"1", b"127.0.0.1:1"))
    with pytest.raises(OSError, match="late"), names.closing():
        raise OSError("late")
    assert list(names) == [(b"1", b"127.0.0.1:1")]


def test_a_server_that_a_script_holds_up_is_an_outage(call: Face, tmp_path: Path) -> None:
    """What was given up can't be closed there before the script ends."""
    options = ("--save", "", "--busy-reply-threshold", "10")
    with Server(tmp_path, *options) as server:
        module = SessionModule("redis", redis_uri=server.uri)
        thread = threading.Thread(target=server.call, args=("EVAL", HOLD, 0))
        thread.start()
        time.sleep(0.1)
        with pytest.raises(SessionStoreUnavailable, match="BUSY"):
            call(module, "create", "5", {})
        thread.join()
        call(module, "create", "5", {})


def test_no_more_names_are_kept_than_are_of_use() -> None:
    names = abandoned.Abandoned()
    for number in range(3 * abandoned.MOST):
        names.add((b"%d" % number, b"127.0.0.1:1"))
    names.add(None)
    assert list(names) == [
        (b"%d" % number, b"127.0.0.1:1") for number in range(2 * abandoned.MOST, 3 * abandoned.MOST)
    ]


def test_what_was_not_sent_yet_is_not_sent_after_the_timeout(call: Face, tmp_path: Path) -> None:
    """Though the server can't be asked to close the connection."""
    over = threading.Event()

    def stall(data: bytes, is_reply: bool) -> str:
        if b"EVALSHA" in data and not is_reply:
            over.wait()
        return ""

    with Server(tmp_path) as server, Relay(server.port) as relay:
        relay.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.call("ACL", "SETUSER", "default", "-client|kill")
        uri = "redis://127.0.0.1:%d/0" % relay.port
        module = SessionModule("redis", redis_uri=uri, read_timeout=0.6, retries=0)
        session_id = call(module, "create", "5", {})
        call(module, "update", session_id, {"n": 1})
        relay.fate = stall
        with pytest.raises(SessionStoreUnavailable):
            call(module, "update", session_id, {"n": "x" * 100_000})
        over.set()
        assert all(link.answered.wait(MOST) for link in relay.links)  # it has come to its end
        relay.fate = lambda data, is_reply: ""
        assert call(module, "get", session_id) == {"n": 1}
