"""What somebody does whose command is late, and what they are told thereafter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis

from django_jam_sessions import SessionModule, SessionStoreUnavailable, codec
from django_jam_sessions.backends import scripts
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from ..conftest import Face
from .relay import Relay
from .site import OWNER

State = dict[str, dict[bytes, bytes]]


class World:
    """A site whose store is behind a relay, and a look at the store past it."""

    def __init__(self, call: Face, relay: Relay, client: redis.Redis, prefix: str) -> None:
        self.relay, self.client, self.prefix = relay, client, prefix
        self.module: SessionModule = configured.current()
        self.number = 1  # of attempts that are late: of two the call fails
        self.told: set[bytes] = set()  # fields of the ids that somebody was told
        self.face = call

    def call(self, target: Any, method: str, *arguments: Any) -> Any:
        result = self.face(target, method, *arguments)
        session_id = target._stored_key if isinstance(target, SessionStore) else result
        if (place := codec.place_of(session_id)) is not None:
            self.told.add(place.field)
        return result

    def late(self, *only: bytes) -> None:
        self.relay.hold(self.number, *only)

    def do(self, target: Any, method: str, *arguments: Any) -> Any:
        """What it returns; None where the store was unavailable."""
        try:
            return self.call(target, method, *arguments)
        except SessionStoreUnavailable:
            assert self.number == 2
            return None
        finally:
            assert self.relay.left == 0

    def create(self, key: str = "5", data: dict[str, Any] | None = None) -> str:
        return str(self.call(self.module, "create", key, data or {}))

    def engine(self, owner: str | None = None, **data: Any) -> SessionStore:
        """One that is stored."""
        store = SessionStore()
        self.call(store, "update", data if owner is None else {OWNER: owner, **data})
        self.call(store, "save")
        return store

    def again(self, store: SessionStore) -> SessionStore:
        """As the next request has it, whose cookie is the one that it was told."""
        again = SessionStore(store._stored_key)
        self.call(again, "load")
        return again

    def state(self) -> State:
        keys: Any = self.client.keys(self.prefix + ":*")
        return {key: self.client.hgetall(key) for key in keys}  # type: ignore[misc]

    def nobodys(self) -> int:
        """How many sessions are stored that nobody has the id of."""
        stored = [field for fields in self.state().values() for field in fields]
        return len(set(stored) - self.told)


def handle(session_id: Any) -> str:
    place = codec.place_of(session_id)
    assert place is not None
    return codec.handle_of(place.locator, place.field)


# Each: something whose first attempt is late, or both, and what somebody is told thereafter.


def create_and_delete(w: World) -> None:
    w.create()
    w.late()
    session_id = w.do(w.module, "create", "5", {})
    if session_id:
        w.call(w.module, "delete", session_id)
    w.create("6")


def create_and_clear(w: World) -> None:
    w.create()
    w.late()
    w.do(w.module, "create", "5", {})
    w.call(w.module, "clear", "5")


def update_and_update(w: World) -> None:
    session_id = w.create()
    w.late()
    w.do(w.module, "update", session_id, {"n": 1})
    w.call(w.module, "update", session_id, {"n": 2})


def update_and_delete(w: World) -> None:
    session_id = w.create()
    w.late()
    w.do(w.module, "update", session_id, {"n": 1})
    w.call(w.module, "delete", session_id)


def delete_and_create(w: World) -> None:
    session_id = w.create()
    w.late()
    w.do(w.module, "delete", session_id)
    w.create()


def rework_and_update(w: World) -> None:
    session_id = w.create()
    w.late()
    session_id = w.do(w.module, "rework", session_id) or session_id
    w.call(w.module, "update", session_id, {"n": 1})


def rework_and_rework(w: World) -> None:
    session_id = w.create()
    w.late()
    session_id = w.do(w.module, "rework", session_id) or session_id
    w.call(w.module, "rework", session_id)


def rework_and_delete(w: World) -> None:
    session_id = w.create()
    w.late()
    session_id = w.do(w.module, "rework", session_id) or session_id
    w.call(w.module, "delete", session_id)


def clear_and_create(w: World) -> None:
    w.create()
    w.late()
    w.do(w.module, "clear", "5")
    w.create()


def clear_others_and_create(w: World) -> None:
    session_id = w.create()
    w.create()
    w.late(scripts.REMOVE_OTHERS.sha.encode())
    w.do(w.module, "clear_others", session_id)
    w.create()


def end_and_create(w: World) -> None:
    session_id = w.create()
    w.late()
    w.do(w.module, "end", "5", handle(session_id))
    w.create()


def engine_create_and_flush(w: World) -> None:
    store = SessionStore()
    w.call(store, "update", {OWNER: "5"})
    w.late()
    w.do(store, "save")
    if store.failure is None:
        w.call(w.again(store), "flush")
    w.engine("6")


def save_and_save(w: World) -> None:
    store = w.engine("5")
    w.call(store, "update", {"n": 1})
    w.late()
    w.do(store, "save")
    again = w.again(store)
    w.call(again, "update", {"n": 2})
    w.call(again, "save")


def save_and_replace(w: World) -> None:
    """clear() means that nothing is merged."""
    store = w.engine("5")
    again = w.again(store)
    w.call(store, "update", {"n": 1})
    w.late()
    w.do(store, "save")
    again.clear()
    w.call(again, "update", {OWNER: "5", "n": 2})
    w.call(again, "save")


def save_and_flush(w: World) -> None:
    store = w.engine("5")
    w.call(store, "update", {"n": 1})
    w.late()
    w.do(store, "save")
    w.call(w.again(store), "flush")
    w.engine("6")


def touch_and_touch(w: World) -> None:
    store = w.engine("5")
    w.late()
    w.do(store, "save")
    w.call(w.again(store), "save")


def touch_and_save(w: World) -> None:
    store = w.engine("5")
    w.late()
    w.do(store, "save")
    again = w.again(store)
    w.call(again, "update", {"_session_expiry": 60})
    w.call(again, "save")


def cycle_key_and_save(w: World) -> None:
    store = w.engine("5")
    key = store.session_key
    w.late()
    w.do(store, "cycle_key")
    again = SessionStore(key if store.failure else store.session_key)
    w.call(again, "update", {"n": 1})
    w.call(again, "save")


def cycle_key_and_cycle_key(w: World) -> None:
    store = w.engine("5")
    w.late()
    w.do(store, "cycle_key")
    w.call(w.again(store), "cycle_key")


def cycle_key_and_flush(w: World) -> None:
    store = w.engine("5")
    w.late()
    w.do(store, "cycle_key")
    w.call(w.again(store), "flush")
    w.engine("6")


def _login(w: World, script: scripts.Script) -> SessionStore:
    """The store as the next request has it."""
    store = w.engine(cart=1)
    key = store.session_key
    w.call(store, "update", {OWNER: "5"})
    w.late(script.sha.encode())
    w.do(store, "save")
    again = SessionStore(key if store.failure else store.session_key)
    assert w.call(again, "get", "cart") == 1
    return again


def login_and_logout(w: World) -> None:
    w.call(_login(w, scripts.INSERT), "flush")
    w.engine("6")


def login_and_save(w: World) -> None:
    store = _login(w, scripts.INSERT)
    w.call(store, "update", {"n": 1})
    w.call(store, "save")
    w.engine("6")


def login_and_login(w: World) -> None:
    """Where the first one failed, the visitor tries again."""
    store = _login(w, scripts.INSERT)
    w.call(store, "update", {OWNER: "5"})
    w.call(store, "save")


def login_whose_removal_is_late(w: World) -> None:
    store = _login(w, scripts.REMOVE)
    w.engine("6")  # tidies
    w.call(store, "update", {"n": 1})
    w.call(store, "save")


def login_whose_removal_is_late_and_login(w: World) -> None:
    store = _login(w, scripts.REMOVE)
    w.call(store, "update", {OWNER: "5"})
    w.call(store, "save")


def login_whose_removal_is_late_and_logout(w: World) -> None:
    w.call(_login(w, scripts.REMOVE), "flush")
    w.engine("6")


def logout_and_login(w: World) -> None:
    store = w.engine("5")
    w.late()
    w.do(store, "flush")
    w.engine("5")


SCENES: list[Callable[[World], None]] = [
    create_and_delete,
    create_and_clear,
    update_and_update,
    update_and_delete,
    delete_and_create,
    rework_and_update,
    rework_and_rework,
    rework_and_delete,
    clear_and_create,
    clear_others_and_create,
    end_and_create,
    engine_create_and_flush,
    save_and_save,
    save_and_replace,
    save_and_flush,
    touch_and_touch,
    touch_and_save,
    cycle_key_and_save,
    cycle_key_and_cycle_key,
    cycle_key_and_flush,
    login_and_logout,
    login_and_save,
    login_and_login,
    login_whose_removal_is_late,
    login_whose_removal_is_late_and_login,
    login_whose_removal_is_late_and_logout,
    logout_and_login,
]
