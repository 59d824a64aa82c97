"""What is done to a session in the JSON backend, and what may be there after a fault."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django_jam_sessions import codec
from django_jam_sessions.backends.base import Backend
from django_jam_sessions.backends.json import JSONBackend
from django_jam_sessions.codec import MODULE, PLAIN, Change, Place, Record, new_version

HOUR = 3_600_000
State = dict[Place, tuple[bytes, bytes]]


def record(body: bytes) -> Record:
    return Record(MODULE, PLAIN, new_version(), 0, 0, 5, 5, b'["5"]', body)


class Scene:
    """Two sessions of a key and one of another; the first of them is the one that it is about."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.here = Place(codec.random_locator(), os.urandom(16), MODULE)
        self.near = self.here._replace(field=os.urandom(16))
        self.free = self.here._replace(field=os.urandom(16))
        self.other = Place(codec.random_locator(), os.urandom(16), MODULE)
        self.beside = self.other._replace(field=os.urandom(16))
        self.far = Place(codec.random_locator(), os.urandom(16), MODULE)  # no directory yet
        self.old, self.new = record(b"[1]"), record(b'{"new": 2}')
        self.change = Change(self.new.version, PLAIN, b"[2]" * 5000)
        backend.insert(self.here, self.old, HOUR)
        backend.insert(self.near, record(b'"near"'), HOUR)
        backend.insert(self.other, record(b'"other"'), HOUR)

    def state(self, backend: Backend | None = None) -> State:
        """Every live session: what fetch() says of each, and list() and count() agree."""
        backend = backend or self.backend
        found: State = {}
        for locator in (self.here.locator, self.other.locator, self.far.locator):
            page, _ = backend.list(locator, 100)
            assert backend.count(locator) == len(page)
            for field, listed in page:
                place = Place(locator, field, MODULE)
                fetched = backend.fetch(place)
                assert fetched is not None
                assert fetched.version == listed.version
                found[place] = fetched.version, fetched.body
        for place in (self.here, self.near, self.free, self.other, self.beside, self.far):
            assert (backend.fetch(place) is not None) is (place in found)
        return found


Operation = Callable[[Scene], object]

OPERATIONS: dict[str, Operation] = {
    "insert": lambda s: s.backend.insert(s.free, s.new, HOUR),
    "insert the first of a key": lambda s: s.backend.insert(s.far, s.new, HOUR),
    "replace": lambda s: s.backend.replace(s.here, s.change, s.old.version, HOUR),
    "touch": lambda s: s.backend.touch(s.here, None, 2 * HOUR),
    "rework": lambda s: s.backend.move(s.here, s.free, s.new.version, None, None),
    "move": lambda s: s.backend.move(s.here, s.free, s.new, s.old.version, HOUR),
    "sign in": lambda s: s.backend.move(s.other, s.beside, s.new, None, HOUR),
    "sign in as another": lambda s: s.backend.move(s.here, s.beside, s.new, None, HOUR),
    "sign in for the first time": lambda s: s.backend.move(s.other, s.far, s.new, None, HOUR),
    "remove": lambda s: s.backend.remove(s.here),
    "remove the last of a key": lambda s: s.backend.remove(s.other),
    "clear": lambda s: s.backend.remove_all(s.here.locator),
}


def done(operation: str, scene: Scene) -> State:
    """The state after it: ``scene`` is as it was before."""
    state = scene.state()
    new = scene.new.version, scene.new.body
    after: dict[str, dict[Place, Any]] = {
        "insert": {scene.free: new},
        "insert the first of a key": {scene.far: new},
        "replace": {scene.here: (scene.new.version, scene.change.body)},
        "touch": {},
        "rework": {scene.here: None, scene.free: (scene.new.version, scene.old.body)},
        "move": {scene.here: None, scene.free: new},
        "sign in": {scene.other: None, scene.beside: new},
        "sign in as another": {scene.here: None, scene.beside: new},
        "sign in for the first time": {scene.other: None, scene.far: new},
        "remove": {scene.here: None},
        "remove the last of a key": {scene.other: None},
        "clear": {scene.here: None, scene.near: None},
    }
    state.update(after[operation])
    return {place: value for place, value in state.items() if value is not None}


def leftovers(backend: JSONBackend) -> list[str]:
    """Temporary files, and what clear() had no time to remove."""
    trash = backend.path / "trash"
    found = [*backend.path.rglob("*.tmp"), *(trash.iterdir() if trash.exists() else ())]
    return [str(each) for each in found]
