"""The session engine against Django's semantic in a dictionary, with stores that save late.

See test_model for how it is run for longer, and how a failure is seen again.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import redis
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from .conftest import Face
from .model import MINUTE, sessions, values
from .stillness import StillClock, still_clock
from .stores import wipe
from .test_model import PROFILE

OWNER, EXPIRY = "_auth_user_id", "_session_expiry"
COOKIE_AGE = 1_209_600  # seconds
OWNERS = ["5", "7"]
ABSENT = object()
Data = dict[str, Any]

Change = tuple[Any, ...]
"""A rule's name, and its arguments but for the writer's number."""
_few = st.sampled_from([0, 1, [], [1], "x"])
changes: st.SearchStrategy[list[Change]] = st.lists(
    st.tuples(st.just("set"), st.sampled_from("abc"), _few)
    | st.tuples(st.just("pop"), st.integers(0, 3))
    | st.tuples(st.just("change_in_place"), _few)
    | st.tuples(st.just("set_expiry"), st.sampled_from([600, 3600, None]))
    | st.sampled_from([("clear",), ("sign_in", "5"), ("sign_in", "7"), ("cycle_key",)]),
    min_size=1,
    max_size=4,
)


class Record:
    def __init__(self, data: Data, now: int) -> None:
        self.key = data.get(OWNER)  # whose it was when it got its id
        self.write(data, now)

    def write(self, data: Data, now: int) -> None:
        self.data = copy.deepcopy(data)
        age = data.get(EXPIRY)
        self.expires = now + (COOKIE_AGE if age in (None, 0) else age) * 1000


class Writer:
    """A store, and what it is to know: what it loaded, and what it made of it."""

    def __init__(self, key: str | None) -> None:
        self.store = SessionStore(key)
        self.key = key
        self.base: Data | None = None
        self.cache: Data | None = None
        self.owner: str | None = None  # of what is stored
        self.replaces = False

    def forget(self, cache: Data | None) -> None:
        self.key = self.base = self.owner = None
        self.cache, self.replaces = cache, False

    def remember(self, key: str, data: Data) -> None:
        self.key, self.base, self.cache = key, copy.deepcopy(data), copy.deepcopy(data)
        self.owner, self.replaces = data.get(OWNER), False


def merged(base: Data, mine: Data, theirs: Data) -> Data:
    def text(value: Any) -> Any:
        return value if value is ABSENT else json.dumps(value)

    result = dict(theirs)
    for name in base.keys() | mine.keys():
        value = mine.get(name, ABSENT)
        if text(value) != text(base.get(name, ABSENT)):
            result.pop(name, None)
            result.update({} if value is ABSENT else {name: value})
    return result


class EngineMachine(RuleBasedStateMachine):
    clock: ClassVar[StillClock]
    faces: ClassVar[list[Face]]
    ran: ClassVar[dict[str, int]]

    def __init__(self) -> None:
        super().__init__()
        wipe(configured.current())
        self.records: dict[str, Record] = {}
        self.ids: list[str] = []
        self.writers: list[Writer] = []
        self.calls = 0

    def call(self, target: Any, method: str, *args: Any) -> Any:
        self.calls += 1
        return self.faces[self.calls % 2](target, method, *args)

    def live(self, key: str | None) -> Record | None:
        record = self.records.get(key or "")
        return None if record is None or record.expires <= self.clock.now else record

    def end(self, key: str) -> None:
        self.records.pop(key, None)

    def writer(self, number: int) -> Writer:
        return self.writers[number % len(self.writers)]

    def loaded(self, writer: Writer) -> Data:
        """What SessionBase looks at when it is asked for anything."""
        if writer.cache is None:
            record = self.live(writer.key)
            if record is None or writer.key is None:
                writer.forget({})
            else:
                writer.remember(writer.key, record.data)
        assert writer.cache is not None
        return writer.cache

    # What is done to a store

    @initialize(data=st.fixed_dictionaries({}, optional=dict.fromkeys("abc", values)))
    def begin(self, data: Data) -> None:
        self.writers.append(Writer(None))
        for name, value in data.items():
            self.put(self.writers[0], name, value)
        self.create(self.writers[0], "save")
        self.open_at_once(0)

    @rule(number=sessions)
    def open(self, number: int) -> None:
        """A request: with a cookie that was set once, or with none."""
        keys = [None, *self.ids]
        self.writers = [*self.writers[-3:], Writer(keys[number % len(keys)])]

    @rule(number=sessions)
    def open_at_once(self, number: int) -> None:
        """Some requests with one cookie, which have all read the session."""
        keys = [key for key in self.ids if self.live(key)]
        if keys:
            self.writers = [Writer(keys[number % len(keys)]) for _ in range(3)]
            for writer in self.writers:
                assert self.call(writer.store, "get", "a") == self.loaded(writer).get("a")

    @rule(number=sessions, name=st.sampled_from("abc"), value=values)
    def set(self, number: int, name: str, value: Any) -> None:
        self.put(self.writer(number), name, value)

    @rule(number=sessions, owner=st.sampled_from(OWNERS))
    def sign_in(self, number: int, owner: str) -> None:
        self.put(self.writer(number), OWNER, owner)

    def put(self, writer: Writer, name: str, value: Any) -> None:
        self.loaded(writer)[name] = copy.deepcopy(value)
        self.call(writer.store, "update", {name: copy.deepcopy(value)})

    @rule(number=sessions, which=sessions)
    def pop(self, number: int, which: int) -> None:
        writer = self.writer(number)
        names = sorted(self.loaded(writer)) or ["a"]
        name = names[which % len(names)]
        value = self.loaded(writer).pop(name, None)
        assert self.call(writer.store, "pop", name, None) == value

    @rule(number=sessions, value=values)
    def change_in_place(self, number: int, value: Any) -> None:
        writer = self.writer(number)
        inner = self.loaded(writer).get("a")
        stored = self.call(writer.store, "get", "a")
        if isinstance(inner, list):
            inner.append(copy.deepcopy(value))
            stored.append(copy.deepcopy(value))
            writer.store.modified = True

    @rule(number=sessions, seconds=st.sampled_from([600, 3600, 0, -1, None]))
    def set_expiry(self, number: int, seconds: int | None) -> None:
        writer = self.writer(number)
        data = self.loaded(writer)
        data.pop(EXPIRY, None)
        data.update({} if seconds is None else {EXPIRY: seconds})
        self.call(writer.store, "set_expiry", seconds)

    @rule(number=sessions)
    def clear(self, number: int) -> None:
        writer = self.writer(number)
        writer.cache, writer.replaces = {}, True
        writer.store.clear()

    @rule(number=sessions)
    def flush(self, number: int) -> None:
        writer = self.writer(number)
        self.end(writer.key or "")
        self.call(writer.store, "flush")
        writer.forget({})

    @rule(number=sessions)
    def delete(self, number: int) -> None:
        writer = self.writer(number)
        self.end(writer.key or "")
        self.call(writer.store, "delete")

    @rule(number=sessions)
    def save(self, number: int) -> None:
        writer = self.writer(number)
        if writer.key is None:
            self.create(writer, "save")
        elif self.is_written(writer):
            self.write(writer, "save")
        else:
            with pytest.raises(UpdateError):
                self.call(writer.store, "save")

    @rule(number=sessions, early=changes, late=changes, last=st.sampled_from(["save", "cycle_key"]))
    def meet(self, number: int, early: list[Change], late: list[Change], last: str) -> None:
        """Two that have read the same session, and change it, one after the other."""
        self.open_at_once(number)
        for writer, made in enumerate((early, late)):
            for method, *arguments in made:
                getattr(self, method)(writer, *arguments)
        self.save(0)
        getattr(self, last)(1)

    @rule(number=sessions)
    def save_as_new(self, number: int) -> None:
        writer = self.writer(number)
        if writer.base is None:
            self.create(writer, "save", True)
        else:
            with pytest.raises(CreateError):
                self.call(writer.store, "save", True)

    @rule(number=sessions)
    def cycle_key(self, number: int) -> None:
        writer = self.writer(number)
        self.loaded(writer)
        if writer.key is None:
            self.create(writer, "cycle_key")
        elif self.is_written(writer):
            self.write(writer, "cycle_key")
        elif writer.owner is None:
            self.create(writer, "cycle_key")
        else:
            with pytest.raises(SessionInterrupted):
                self.call(writer.store, "cycle_key")

    # What is to come of it

    def is_written(self, writer: Writer) -> bool:
        """Whether there is a record to write to; the writer knows then what it holds."""
        self.loaded(writer)
        record = self.live(writer.key)
        if record is not None and writer.base is None:
            writer.base, writer.owner, writer.replaces = record.data, record.key, True
        return record is not None and writer.key is not None

    def create(self, writer: Writer, method: str, *args: Any) -> None:
        data = {} if writer.cache is None else writer.cache
        self.call(writer.store, method, *args)
        self.add(writer, data)

    def add(self, writer: Writer, data: Data) -> None:
        key = writer.store._stored_key
        assert key is not None
        assert key not in self.ids
        self.ids.append(key)
        self.records[key] = Record(data, self.clock.now)
        writer.remember(key, data)

    def write(self, writer: Writer, method: str) -> None:
        key, mine, base = str(writer.key), writer.cache or {}, writer.base or {}
        record = self.records[key]
        theirs = record.data
        data = mine if writer.replaces else merged(base, mine, theirs)
        is_stale = writer.base is not theirs and theirs != base
        before = theirs.get(OWNER) if is_stale else writer.owner
        is_sign_in = data.get(OWNER) is not None and data.get(OWNER) != before
        told = writer.store.session_key
        self.call(writer.store, method)
        if method == "cycle_key" or is_sign_in:
            self.end(key)
            self.add(writer, data)
            # Where the owner was removed meanwhile, it was no sign-in yet when it was told.
            assert is_stale or not is_sign_in or writer.key == told
        else:
            record.write(data, self.clock.now)
            writer.remember(key, data)
            assert writer.store._stored_key == key

    # What happens besides

    @rule(minutes=st.sampled_from([1, 9, 10, 55]))
    def wait(self, minutes: int) -> None:
        self.clock.move(minutes * MINUTE)

    @rule(owner=st.sampled_from(OWNERS))
    def sign_out_everywhere(self, owner: str) -> None:
        keys = [key for key, record in self.records.items() if record.key == owner]
        if any(self.live(key) for key in keys):
            self.call(configured.current(), "clear", owner)
            for key in keys:
                self.end(key)

    @invariant()
    def the_store_is_the_model(self) -> None:
        for key in self.ids[-8:]:
            record = self.live(key)
            found = self.call(SessionStore(key), "load")
            assert found == ({} if record is None else record.data)
            assert self.call(SessionStore(), "exists", key) is (record is not None)
        for owner in OWNERS:
            held = [key for key, each in self.records.items() if each.key == owner]
            count = sum(self.live(key) is not None for key in held)
            assert self.call(configured.current(), "count", owner) == count
        for writer in self.writers:
            store: Any = writer.store  # its _session is Django's
            assert writer.cache is None or store._session == writer.cache
        self.ran["steps"] += 1

    def teardown(self) -> None:
        self.ran["examples"] += 1


@pytest.fixture
def machine(jam_settings: Any, redis_client: redis.Redis, prefix: str) -> Iterator[Any]:
    loop = asyncio.new_event_loop()
    loop.set_debug(False)
    with still_clock(redis_client, "clock-of-" + prefix) as clock:
        details = {"clock": clock, "faces": [Face(None), Face(loop)]}
        yield type("EngineMachine", (EngineMachine,), {**details, "ran": {}})
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_a_store_does_as_django_has_it(machine: Any) -> None:
    machine.ran.update(examples=0, steps=0)
    run_state_machine_as_test(machine, settings=PROFILE)
    sys.stdout.write("%(examples)d examples, %(steps)d steps\n" % machine.ran)
