"""What is compared: the floor, this engine, Django's own engines and the other packages.

Each contender is a pair of functions: load and save one session, and create one.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import redis
import redis.asyncio
from django.test.utils import override_settings

from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from .site import ENGINES, USERS

TTL = 1_209_600
SESSIONS = 256
Call = Callable[[], Any]


class Contender:
    """``load_save``, ``create`` and ``cycle`` of one engine; None where it has no such thing."""

    def __init__(self, load_save: Call, create: Call | None = None, cycle: Call | None = None):
        self.load_save, self.create, self.cycle = load_save, create, cycle


def floor(uri: str, data: dict[str, Any]) -> Contender:
    """A bare GET and SET EX of the same bytes, by redis-py with hiredis."""
    client = redis.Redis.from_url(uri)
    body = json.dumps(data, separators=(",", ":")).encode()
    keys = itertools.cycle(_floor_keys(client, body))

    def load_save() -> None:
        key = next(keys)
        client.get(key)
        client.set(key, body, ex=TTL)

    def create() -> None:
        client.set("floor:%s" % os.urandom(8).hex(), body, ex=TTL)

    def cycle() -> None:
        client.set(next(keys), body, ex=TTL)

    return Contender(load_save, create, cycle)


def _floor_keys(client: Any, body: bytes) -> list[str]:
    keys = ["floor:%s" % os.urandom(16).hex() for _ in range(SESSIONS)]
    for key in keys:
        client.set(key, body, ex=TTL)
    return keys


def floor_create(client: Any, data: dict[str, Any]) -> None:
    """One session as a bare key: 40 characters, as Django's keys are with their prefix."""
    body = json.dumps(data, separators=(",", ":"))
    client.set("jam_sessions:%s" % os.urandom(16).hex(), body, ex=TTL)


def json_floor(uri: str, data: dict[str, Any]) -> Contender:
    """The floor, and the standard library's json both ways."""
    client = redis.Redis.from_url(uri)
    body = json.dumps(data, separators=(",", ":")).encode()
    keys = itertools.cycle(_floor_keys(client, body))

    def load_save() -> None:
        key = next(keys)
        found: Any = client.get(key)
        read = json.loads(found)
        client.set(key, json.dumps(read, separators=(",", ":")), ex=TTL)

    return Contender(load_save)


def engine(store_class: Any, data: dict[str, Any]) -> Contender:
    """Any Django engine, used as a request uses it; one session after another, as users come."""
    stores = [_stored(store_class, data, str(number)) for number in range(SESSIONS)]
    keys = [store.session_key for store in stores]
    users = itertools.cycle(range(SESSIONS, USERS))
    count = itertools.count()

    def load_save() -> None:
        number = next(count)
        store = store_class(keys[number % SESSIONS])
        store["count"] = number
        store.save()

    def create() -> None:
        _stored(store_class, data, str(next(users)))

    cycled: list[Any] = []

    def cycle() -> None:
        if not cycled:
            cycled.extend(_stored(store_class, data, str(number)) for number in range(SESSIONS))
        # It is loaded, as it is when a user signs in.
        cycled[next(count) % SESSIONS].cycle_key()

    return Contender(load_save, create, None if "cookies" in store_class.__module__ else cycle)


def _stored(store_class: Any, data: dict[str, Any], user: str) -> Any:
    store = store_class()
    store.update({**data, "_auth_user_id": user})
    store.save()
    return store


def ours(data: dict[str, Any], **jam_settings: Any) -> Contender:
    """This engine with other settings than the site's."""
    return engine(_store_of(jam_settings), data)


def _store_of(jam_settings: dict[str, Any]) -> Any:
    with override_settings(JAM_SESSIONS=jam_settings):
        settings = configured.engine()

    class Store(SessionStore):
        def __init__(self, session_key: str | None = None) -> None:
            super().__init__(session_key)
            self._settings = settings
            self._backend, self._operations = settings.backend, settings.operations

    return Store


def peers(data: dict[str, Any]) -> dict[str, Contender]:
    """Django's engines and those of other packages."""
    found = {name: engine(_store(path), data) for name, path in ENGINES.items()}
    found["Django cache on django-redis"] = engine(_on_django_redis(), data)
    return found


def _store(path: str) -> Any:
    return import_module(path).SessionStore


def _on_django_redis() -> Any:
    from django.contrib.sessions.backends.cache import SessionStore as CacheStore
    from django.core.cache import caches

    class SessionStoreOnDjangoRedis(CacheStore):
        def __init__(self, session_key: str | None = None) -> None:
            super().__init__(session_key)
            self._cache = caches["django-redis"]

    return SessionStoreOnDjangoRedis


# Awaited


def async_floor(uri: str, data: dict[str, Any], with_json: bool = False) -> Call:
    # As many connections as waiters: without a bound, a burst measures connecting.
    pool: Any = redis.asyncio.BlockingConnectionPool.from_url(uri, max_connections=50)
    client = redis.asyncio.Redis(connection_pool=pool)
    body = json.dumps(data, separators=(",", ":")).encode()
    with redis.Redis.from_url(uri) as blocking:
        keys = itertools.cycle(_floor_keys(blocking, body))

    async def load_save() -> None:
        key = next(keys)
        await client.get(key)
        await client.set(key, body, ex=TTL)

    async def load_save_json() -> None:
        key = next(keys)
        found: Any = await client.get(key)
        read = json.loads(found)
        await client.set(key, json.dumps(read, separators=(",", ":")), ex=TTL)

    return load_save_json if with_json else load_save


def async_engine(store_class: Any, data: dict[str, Any]) -> Call:
    """Each call has a session of its own, so that none waits for another's merge."""
    keys = [_stored(store_class, data, str(number)).session_key for number in range(SESSIONS)]
    count = itertools.count()

    async def load_save() -> None:
        number = next(count)
        store = store_class(keys[number % SESSIONS])
        await store.aset("count", number)
        await store.asave()

    return load_save


def async_ours(data: dict[str, Any], **jam_settings: Any) -> Call:
    return async_engine(_store_of(jam_settings), data)


def async_peers(data: dict[str, Any]) -> dict[str, Call]:
    found = {name: async_engine(_store(path), data) for name, path in ENGINES.items()}
    found["Django cache on django-redis"] = async_engine(_on_django_redis(), data)
    return found


def jam(uri: str, data: dict[str, Any]) -> Call:
    """jamlib's own sessions; it has no Django engine."""
    from jam.aio.sessions.redis import RedisSessions

    sessions = RedisSessions(uri, default_ttl=TTL)
    ids: list[str] = []

    async def load_save() -> None:
        if not ids:
            ids.extend([await sessions.create(str(n), data) for n in range(SESSIONS)])
        number = next(count)
        session_id = ids[number % SESSIONS]
        found = await sessions.get(session_id)
        await sessions.update(session_id, {**(found or {}), "count": number})

    count = itertools.count()
    return load_save
