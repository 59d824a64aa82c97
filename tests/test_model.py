"""SessionModule against a dictionary: whatever is called, in whatever order, on whichever store.

MODEL_EXAMPLES is the number of examples for each store; ``make model`` takes many. A failure prints
the steps that led there, and what to decorate the machine with to see it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_jam_sessions import (
    SessionDataTooLarge,
    SessionLimitReached,
    SessionModule,
    SessionNotFoundError,
)
from django_jam_sessions.conf import MAX_DATA_BYTES

from .conftest import Face
from .model import (
    MINUTE,
    Model,
    Session,
    as_stored,
    bad_datas,
    bad_keys,
    damaged,
    datas,
    handle,
    keys,
    sessions,
)
from .stillness import StillClock, still_clock
from .stores import wipe

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", 6))
STEPS = 40
PROFILE = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],  # to explain a failure takes minutes
    suppress_health_check=list(HealthCheck),
)

OLD, NEW = b"o" * 32, b"n" * 32
# A rotation that half of the servers have gone through: each holds other secrets, the first seals.
SECRETS = {"old": "o", "both": "no", "new": "n"}
TTL = {"old": 10 * MINUTE, "both": None, "new": 30 * MINUTE}
ABSOLUTE_TTL = {"old": None, "both": 45 * MINUTE, "new": 35 * MINUTE}

who = st.sampled_from(sorted(SECRETS))


class Sight:
    """The modules of one rotation over one store, and how to call them."""

    def __init__(self, options: dict[str, Any], is_session_crypt: bool, clock: StillClock) -> None:
        self.clock = clock
        self.loop = asyncio.new_event_loop()
        self.loop.set_debug(False)  # it takes a stack for each call
        self.faces = [Face(None), Face(self.loop)]
        self.secrets = SECRETS if is_session_crypt else dict.fromkeys(SECRETS, "p")
        self.modules = {
            name: SessionModule(
                is_session_crypt=is_session_crypt,
                session_aes_secret=[{"o": OLD, "n": NEW}[each] for each in secrets],
                session_ttl=seconds(TTL[name]),
                absolute_ttl=seconds(ABSOLUTE_TTL[name]),
                **options,
            )
            for name, secrets in SECRETS.items()
        }
        self.log = Log()
        logging.getLogger().addHandler(self.log)

    def close(self) -> None:
        logging.getLogger().removeHandler(self.log)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class Log(logging.Handler):
    """What is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Machine(RuleBasedStateMachine):
    sight: ClassVar[Sight]
    ran: ClassVar[dict[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.steps, self.calls = self.sight.clock, 0, 0
        self.model = Model(lambda: self.clock.now)
        wipe(self.sight.modules["both"])
        self.sight.log.lines.clear()

    # How a module is called

    def call(self, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Blocking and awaited by turns."""
        self.calls += 1
        face = self.sight.faces[self.calls % 2]
        return face(self.sight.modules[name], method, *args, **kwargs)

    def refused(self, name: str, method: str, *args: Any) -> None:
        with pytest.raises(SessionNotFoundError) as raised:
            self.call(name, method, *args)
        assert not self.shown(str(raised.value))

    def shown(self, text: str) -> list[str]:
        """The ids in what must not show any: by the part of them that is not the locator."""
        return [each for each in self.model.every_id() if each[15:] in text]

    def pick(self, number: int) -> str:
        """An id: live, dead, expired, or of a secret that the module does not have."""
        ids = self.model.every_id()
        return ids[number % len(ids)]

    def find(self, name: str, session_id: str) -> Session | None:
        return self.model.find(session_id, self.sight.secrets[name])

    def end_of(self, ttl: int | None) -> int | None:
        return None if ttl is None else self.clock.now + ttl

    # Rules

    @initialize(
        limit=st.sampled_from([None, 1, 2, 3]), ends_oldest=st.booleans(), name=who, data=datas
    )
    def begin(self, limit: int | None, ends_oldest: bool, name: str, data: dict[str, Any]) -> None:
        self.limit, self.ends_oldest = limit, ends_oldest
        for module in self.sight.modules.values():
            policy = module.operations.policy
            module.operations.policy = policy._replace(max_sessions=limit, ends_oldest=ends_oldest)
        self.create(name, "5", data)

    @rule(name=who, key=keys, data=datas)
    def create(self, name: str, key: str, data: dict[str, Any]) -> None:
        leaving = self.leaving(name, key)
        if leaving and not self.ends_oldest:
            with pytest.raises(SessionLimitReached):
                self.call(name, "create", key, data)
            return
        session_id = self.call(name, "create", key, data)
        self.model.end(leaving)
        now, secret = self.clock.now, self.sight.secrets[name][0]
        ends = self.end_of(TTL[name]), self.end_of(ABSOLUTE_TTL[name])
        self.model.add(Session(session_id, key, as_stored(data), secret, now, now, *ends))

    def leaving(self, name: str, key: str) -> list[Session]:
        """What must go for one session more: the oldest secret's first, then the oldest."""
        secrets = self.sight.secrets[name]
        live = self.model.live(secrets, key)
        live.sort(key=lambda each: (each.secret == secrets[0], each.created))
        return [] if self.limit is None else live[: max(0, len(live) + 1 - self.limit)]

    @rule(name=who, number=sessions, data=datas)
    def update(self, name: str, number: int, data: dict[str, Any]) -> None:
        session_id = self.pick(number)
        session = self.find(name, session_id)
        if session is None:
            self.refused(name, "update", session_id, data)
            return
        self.call(name, "update", session_id, data)
        session.data, session.seen = as_stored(data), self.clock.now
        session.idle = self.end_of(TTL[name])

    @rule(name=who, number=sessions)
    def delete(self, name: str, number: int) -> None:
        """It takes no secret: who holds the id ends the session at any server."""
        session_id = self.pick(number)
        session = self.model.find(session_id, "onp")
        if session is None:
            self.refused(name, "delete", session_id)
            return
        self.call(name, "delete", session_id)
        self.model.end([session])

    @rule(name=who, number=sessions)
    def rework(self, name: str, number: int) -> None:
        session_id = self.pick(number)
        session = self.find(name, session_id)
        if session is None:
            self.refused(name, "rework", session_id)
            return
        new_id = self.call(name, "rework", session_id)
        self.model.end([session])
        secret = self.sight.secrets[name][0]
        self.model.add(dataclasses.replace(session, id=new_id, secret=secret, seen=None))

    @rule(name=who, number=sessions)
    def clear(self, name: str, number: int) -> None:
        secrets, key = self.sight.secrets[name], self.model.key_of(self.pick(number))
        held, unswept = self.model.live(secrets, key), self.model.expired(secrets, key)
        if held or not unswept:
            if held:
                self.call(name, "clear", key)
            else:
                self.refused(name, "clear", key)
        else:
            with contextlib.suppress(SessionNotFoundError):  # it counts until somebody swept it
                self.call(name, "clear", key)
        self.model.end([*held, *unswept])

    @rule(name=who, number=sessions)
    def clear_others(self, name: str, number: int) -> None:
        session_id = self.pick(number)
        session = self.find(name, session_id)
        if session is None:
            self.refused(name, "clear_others", session_id)
            return
        self.call(name, "clear_others", session_id)
        others = self.model.live(self.sight.secrets[name], session.key)
        others += self.model.expired(self.sight.secrets[name], session.key)
        self.model.end(each for each in others if each is not session)

    @rule(name=who, number=sessions, other=sessions)
    def end(self, name: str, number: int, other: int) -> None:
        session_id, key = self.pick(number), self.model.key_of(self.pick(other))
        session = self.find(name, session_id)
        if session is None or session.key != key:
            self.refused(name, "end", key, handle(session_id))
        if session is not None:
            self.call(name, "end", session.key, handle(session_id))
            self.model.end([session])

    @rule(name=who)
    def purge(self, name: str) -> None:
        """It looks at no secret. What it removes nobody sees; what is swept before, it leaves."""
        expired = self.model.expired("onp")
        assert 0 <= self.call(name, "purge") <= len(expired)
        self.model.end(expired)
        assert self.call(name, "purge") == 0

    @rule(minutes=st.integers(1, 20))
    def wait(self, minutes: int) -> None:
        self.clock.move(minutes * MINUTE)

    @precondition(lambda self: self.model.edges())
    @rule(name=who, number=sessions)
    def expire(self, name: str, number: int) -> None:
        """To the millisecond."""
        edges = [edge for edge in self.model.edges() if edge > self.clock.now]
        if not edges:
            return
        edge = edges[number % len(edges)]
        last = [each for each in self.model.live("onp") if each.expires == edge]
        self.clock.set(edge - 1)
        assert all(self.seen(name, each) for each in last)
        self.clock.set(edge)
        assert not any(self.seen(name, each) for each in last)

    def seen(self, name: str, session: Session) -> bool:
        """Whether a session is there, in each way to ask for it; that they agree."""
        is_found = self.call(name, "get", session.id, None) is not None
        listed = {info.handle for info in self.call(name, "list", session.key)}
        assert is_found is (session.handle in listed)
        assert self.call(name, "count", session.key) == len(listed)
        return is_found or (not self.can_see(name, session) and not self.is_over(session))

    def can_see(self, name: str, session: Session) -> bool:
        return session.secret in self.sight.secrets[name]

    def is_over(self, session: Session) -> bool:
        return session.expires is not None and session.expires <= self.clock.now

    @rule(name=who, number=sessions, way=sessions)
    def hostile_id(self, name: str, number: int, way: int) -> None:
        """Whatever it is, it is no session; and of no other kind of error."""
        session_id = self.pick(number)
        ways = [*damaged(session_id), handle(session_id), *damaged(handle(session_id))]
        ways = [each for each in ways if each not in self.model.every_id()]
        hostile = ways[way % len(ways)]
        self.refused(name, "get", hostile)
        assert self.call(name, "get", hostile, "default") == "default"
        self.refused(name, "update", hostile, {})
        for method in ("delete", "rework", "clear_others"):
            self.refused(name, method, hostile)
        key = self.model.key_of(session_id)
        assert not any(each.is_current for each in self.call(name, "list", key, current=hostile))

    @rule(name=who, number=sessions, way=sessions)
    def hostile_handle(self, name: str, number: int, way: int) -> None:
        session_id = self.pick(number)
        ways = [session_id, *damaged(session_id), *damaged(handle(session_id))]
        ways = [each for each in ways if each != handle(session_id)]
        self.refused(name, "end", self.model.key_of(session_id), ways[way % len(ways)])

    @rule(name=who, key=bad_keys, data=datas)
    def bad_key(self, name: str, key: Any, data: dict[str, Any]) -> None:
        for method, *arguments in (
            ("create", key, data),
            ("clear", key),
            ("list", key),
            ("count", key),
            ("end", key, "0" * 15 + "." + "0" * 25),
        ):
            with pytest.raises((TypeError, ValueError)):
                self.call(name, method, *arguments)

    @rule(name=who, number=sessions, key=keys, data=bad_datas)
    def bad_data(self, name: str, number: int, key: str, data: Any) -> None:
        with pytest.raises(TypeError):
            self.call(name, "create", key, data)
        with pytest.raises(TypeError):
            self.call(name, "update", self.pick(number), data)

    @rule(name=who, key=keys, number=sessions)
    def too_much_data(self, name: str, key: str, number: int) -> None:
        with pytest.raises(SessionDataTooLarge):
            self.call(name, "create", key, {"a": "x" * MAX_DATA_BYTES})
        with pytest.raises(SessionDataTooLarge):
            self.call(name, "update", self.pick(number), {"a": "x" * MAX_DATA_BYTES})

    # What holds after each step

    @invariant()
    def the_store_is_the_model(self) -> None:
        """As one of the modules sees it: each has its turn, and all of them at the end."""
        self.clock.move(1)  # that no two sessions are as old
        self.steps += 1
        self.compare(sorted(SECRETS)[self.steps % 3], self.model.dead[-3:])

    def teardown(self) -> None:
        for name in SECRETS:
            self.compare(name, self.model.dead)
        for line in self.sight.log.lines:
            assert not self.shown(line)
        self.ran["examples"] += 1
        self.ran["steps"] += self.steps
        self.ran["calls"] += self.calls

    def compare(self, name: str, dead: list[str]) -> None:
        secrets = self.sight.secrets[name]
        counts: dict[str, int] = {}
        for key in self.model.every_key():
            live = self.model.live(secrets, key)
            counts[key] = len(live)
            self.compare_key(name, key, live)
        for session in self.model.expired(secrets):
            self.refused(name, "get", session.id)
        for session_id in dead:
            self.refused(name, "get", session_id)
        found: dict[str, int] = {}
        for info in self.pages(name, "keys"):
            assert not self.shown(repr(info))
            found[info.session_key] = found.get(info.session_key, 0) + info.count
        assert found == {key: count for key, count in counts.items() if count}

    def compare_key(self, name: str, key: str, live: list[Session]) -> None:
        assert self.call(name, "count", key) == len(live)
        current = live[-1].id if live else None
        infos = {info.handle: info for info in self.pages(name, "list", key, current)}
        assert infos.keys() == {session.handle for session in live}
        for session in live:
            assert self.call(name, "get", session.id) == session.data
            info = infos[session.handle]
            assert not self.shown(repr(info) + repr(vars_of(info)))
            assert info.session_key == key
            assert info.is_current is (session.id == current)
            assert milliseconds(info.created_at) == session.created
            assert session.seen in (None, milliseconds(info.last_seen_at))
            assert (info.expires_at and milliseconds(info.expires_at)) == session.expires

    def pages(self, name: str, method: str, *arguments: Any) -> Iterator[Any]:
        """All of them, a few at a time."""
        cursor = None
        while True:
            page = self.call(name, method, *arguments, limit=3, cursor=cursor)
            yield from page
            cursor = page.cursor
            if cursor is None:
                return


def vars_of(info: Any) -> dict[str, Any]:
    """What a debug page would show of it."""
    return {name: getattr(info, name) for name in dir(info) if not name.startswith("__")}


def seconds(ttl: int | None) -> float | None:
    return None if ttl is None else ttl / 1000


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


@pytest.fixture
def sight(
    store: dict[str, Any], is_session_crypt: bool, redis_client: redis.Redis, prefix: str
) -> Iterator[Sight]:
    with still_clock(redis_client, "clock-of-" + prefix) as clock:
        sight = Sight(store, is_session_crypt, clock)
        yield sight
        sight.close()


def test_a_module_is_a_dictionary(sight: Sight) -> None:
    ran = dict.fromkeys(("examples", "steps", "calls"), 0)
    machine: Any = type("Machine", (Machine,), {"sight": sight, "ran": ran})
    run_state_machine_as_test(machine, settings=PROFILE)
    sys.stdout.write("%(examples)d examples, %(steps)d steps, %(calls)d calls\n" % ran)
