"""How much the admin asks of Redis: a page is bounded, however much there is."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client

from django_jam_sessions import codec, sessions
from django_jam_sessions.backends import sockets
from django_jam_sessions.configured import configured
from django_jam_sessions.infos import Meta
from testproject.server import running

pytestmark = pytest.mark.django_db

KEYS = "/admin/jam_sessions/key/"
SESSIONS = "/admin/jam_sessions/session/"

# ADMIN_WORK=100 makes it 200,000 keys, half a million anonymous sessions and as many foreign keys.
SCALE = int(os.environ.get("ADMIN_WORK", "1"))
OWNED, ANONYMOUS, FOREIGN = 2_000 * SCALE, 5_000 * SCALE, 5_000 * SCALE
MOST_TRIPS = 10
MOST_SCANS = 10


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running() as uri:
        yield uri


@pytest.fixture
def client(server: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server) as client:
        yield client
        client.flushdb()


@pytest.fixture
def browser(server: str, settings: Any) -> Client:
    """A superuser's, on a server of the test's own."""
    uri = {"SESSIONS_TYPE": "redis", "REDIS_URI": server}
    settings.JAM_SESSIONS = {**uri, "SESSION_AES_SECRET": b"x" * 32, "IS_SESSION_CRYPT": True}
    browser = Client()
    browser.force_login(User.objects.create_superuser("boss", password="x"))
    return browser


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first word of what goes over the wire at once: a round trip each."""
    made: list[str] = []
    exchange = sockets.SocketLines._exchange

    def counted(self: Any, packed: bytes, *arguments: Any) -> Any:
        made.append(packed.split(b"\r\n")[2].decode())
        return exchange(self, packed, *arguments)

    monkeypatch.setattr(sockets.SocketLines, "_exchange", counted)
    return made


def store(client: redis.Redis, owners: Iterable[str | None]) -> None:
    """A session for each of the owners (None: anonymous), as the module itself would write it."""
    operations = configured.current().operations
    pipeline = client.pipeline(transaction=False)
    for number, owner in enumerate(owners):
        place = operations.issue(owner, codec.MODULE, None).place
        record = operations._sealed(place, Meta(owner), b"{}", 1_700_000_000_000)
        pipeline.hset("jam_sessions:" + place.locator, place.field, codec.pack(record))
        if number % 2000 == 1999:
            pipeline.execute()
    pipeline.execute()


def commands(client: redis.Redis) -> dict[str, int]:
    stats: Any = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}


def measured(browser: Client, client: redis.Redis, trips: list[str], url: str) -> str:
    """The page, made within its bounds."""
    client.config_resetstat()
    trips.clear()
    response = browser.get(url)
    assert response.status_code == 200
    met = commands(client)
    assert len(trips) <= MOST_TRIPS, trips
    assert met.get("scan", 0) <= MOST_SCANS
    assert "keys" not in met
    return str(response.content.decode())


def test_a_page_of_keys_among_others_is_bounded(
    browser: Client, client: redis.Redis, trips: list[str]
) -> None:
    store(client, (str(1000 + number) for number in range(OWNED)))
    store(client, [None] * ANONYMOUS)
    for first in range(0, FOREIGN, 5_000):
        client.mset({"others:%d" % number: "x" for number in range(first, first + 5_000)})
    assert client.dbsize() >= OWNED + ANONYMOUS + FOREIGN
    User.objects.create(pk=1000, username="ada")
    url = KEYS
    met: set[str] = set()
    for _ in range(3):
        page = measured(browser, client, trips, url)
        found = set(re.findall(r"\?session_key=(\d+)", page))
        assert found
        assert len(found) <= 400
        assert not found & met
        met |= found
        following = re.search(r'href="([^"]+)" rel="next">Continue', page)
        assert following is not None
        url = KEYS + html.unescape(following[1])
    page = measured(browser, client, trips, KEYS + "?anonymous=1")
    assert re.search(r"\d+ anonymous sessions on this page", page)
    for query in ("ada", "1000"):
        page = measured(browser, client, trips, KEYS + "?q=" + query)
        assert "?session_key=1000" in page
    assert "1 session" in measured(browser, client, trips, SESSIONS + "?session_key=1000")


def test_keys_of_many_sessions_cost_no_trip_each(
    browser: Client, client: redis.Redis, trips: list[str]
) -> None:
    for key in range(20):
        for _ in range(250):
            sessions.sync.create("large-%d" % key, {})
    page = measured(browser, client, trips, KEYS)
    assert page.count('<td class="field-total">250</td>') == 20


def test_a_first_page_is_bounded_where_the_server_knows_no_script(
    browser: Client, client: redis.Redis, trips: list[str]
) -> None:
    """As after a restart, and this process does not know the server's time yet."""
    for key in range(20):
        store(client, ["large-%d" % key] * 150)
    one = SESSIONS + "?session_key=large-1"
    for url in (KEYS, KEYS + "?anonymous=1", KEYS + "?q=large-1", one):
        client.script_flush()
        configured.forget(setting="JAM_SESSIONS")
        measured(browser, client, trips, url)


def test_a_key_of_5000_sessions_is_paged(
    browser: Client, client: redis.Redis, trips: list[str]
) -> None:
    store(client, ["big"] * 5_000)
    query, met = "?session_key=big", 0
    for _ in range(3):
        page = measured(browser, client, trips, SESSIONS + query)
        shown = page.count('name="_selected_action"')
        assert 0 < shown <= 400
        met += shown
        following = re.search(r'href="([^"]+)" rel="next">Continue', page)
        assert following is not None
        query = html.unescape(following[1])
    assert met >= 300
    assert "5000" in measured(browser, client, trips, KEYS + "?q=big")
