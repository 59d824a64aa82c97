"""What the engine asks of a backend, and does not ask."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.utils import timezone

from django_jam_sessions import SessionStoreUnavailable, patience, queues, sessions
from django_jam_sessions.codec import ENGINE, place_of
from django_jam_sessions.configured import configured
from django_jam_sessions.devices import ClientInfo
from django_jam_sessions.engine import SessionStore
from django_jam_sessions.steps import run

HOME = ClientInfo("192.0.2.7", "x")


@pytest.fixture(autouse=True, params=[False, True], ids=["plain", "sealed"])
def site(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> None:
    settings.JAM_SESSIONS = {
        "JSON_PATH": tmp_path / "sessions",
        "IS_SESSION_CRYPT": request.param,
    }


def stored(client: ClientInfo | None = HOME, **data: Any) -> str:
    store = SessionStore()
    store.describe = lambda: client
    store.update(data)
    store.create()
    return store.session_key or ""


def spy(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """The arguments of each call of a backend's method."""
    calls: list[tuple[Any, ...]] = []
    backend = configured.current().backend
    method = getattr(backend, name)

    def called(*arguments: Any) -> Any:
        calls.append(arguments)
        return method(*arguments)

    monkeypatch.setattr(backend, name, called)
    return calls


@pytest.mark.parametrize(
    ("before", "now", "is_written"),
    [
        (HOME, HOME, False),
        (HOME, ClientInfo("192.0.2.8", "x"), True),
        (HOME, ClientInfo("192.0.2.7", "y"), True),
        (HOME, None, False),
        (None, HOME, True),
        (None, None, False),
    ],
)
@pytest.mark.parametrize("change", ["touch", "save"])
def test_a_client_is_written_again_where_it_is_another(
    monkeypatch: pytest.MonkeyPatch,
    clock: Any,
    before: ClientInfo | None,
    now: ClientInfo | None,
    is_written: bool,
    change: str,
) -> None:
    store = SessionStore(stored(before, _auth_user_id="5"))
    store.load()
    store.get("n")
    store.describe = lambda: now
    calls = spy(monkeypatch, "touch")
    getattr(store, change)()
    assert calls == [] if change == "touch" else calls[0][3] is None  # it is not due
    clock(400)
    calls.clear()
    getattr(store, change)()
    ((_, _, _, meta),) = calls
    assert (meta is not None) is is_written
    (info,) = sessions.sync.list("5")
    assert info.client == (now if is_written else before)


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("ttl", [1000, None])
def test_a_touch_moves_the_expiry_where_it_slides(
    settings: Any, monkeypatch: pytest.MonkeyPatch, clock: Any, sliding: bool, ttl: int | None
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SLIDING": sliding}
    store = SessionStore(stored(_auth_user_id="5", _session_expiry=1000))
    store.load()
    backend = configured.current().backend
    if ttl is None:  # a module's update() may have made it one without an end
        assert store._stored is not None
        backend.touch(store._stored.place, None, None)
        store.load()
    store.get("n")
    clock(400)
    calls = spy(monkeypatch, "touch")
    assert store.touch() is sliding
    left = calls[0][2]
    if sliding:
        assert left == 1_000_000
    elif ttl is None:
        assert left is None
    else:
        assert 590_000 < left <= 600_000
    assert store._stored is not None
    assert backend.now() - store._stored.record.last_seen < 10_000
    assert store.touch() is False  # it has just been
    assert len(calls) == 1


@pytest.mark.parametrize("interval", [300, None])
def test_a_session_that_slides_and_is_used_does_not_end(
    settings: Any, clock: Any, interval: int | None
) -> None:
    options = {"SLIDING": True, "TOUCH_INTERVAL": interval, "SESSION_TTL": 60}
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, **options}
    session_id = stored(_auth_user_id="5")
    touched = []
    for _ in range(10):
        clock(20)
        store = SessionStore(session_id)
        assert store.get("_auth_user_id") == "5"
        touched.append(store.touch())
    assert touched.count(True) == 5


def test_an_end_on_a_date_is_not_touched_again_and_again(
    settings: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SLIDING": True}
    begin = timezone.now()
    session_id = stored(_session_expiry=(begin + timedelta(seconds=100)).isoformat())
    clock(90)
    monkeypatch.setattr(timezone, "now", lambda: begin + timedelta(seconds=90))
    store = SessionStore(session_id)
    store.get("n")
    assert store.touch() is False


def test_nobody_touches_what_was_not_loaded(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    calls = spy(monkeypatch, "touch")
    store = SessionStore(stored())
    clock(400)
    assert store.touch() is False
    store._session_cache = {}
    assert store.touch() is False
    assert calls == []


def test_a_touch_that_meets_anothers_write_takes_nothing_of_it(clock: Any) -> None:
    """Else the save after it would take what was written for what this request removed."""
    session_id = stored(old=1)
    store = SessionStore(session_id)
    store.load()
    store.get("n")
    other = SessionStore(session_id)
    other["theirs"] = 1
    other.save()
    clock(400)
    assert store.touch() is False
    store["mine"] = 1
    store.save()
    assert SessionStore(session_id).load() == {"old": 1, "theirs": 1, "mine": 1}


def test_what_was_ended_is_not_touched(clock: Any) -> None:
    session_id = stored()
    store = SessionStore(session_id)
    store.load()
    store.get("n")
    SessionStore(session_id).delete()
    clock(400)
    assert store.touch() is False


def test_data_that_was_set_without_a_look_at_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what somebody wrote between the look that the save takes and its write."""
    session_id = stored(old=1)
    store = SessionStore(session_id)
    store._session_cache = {"mine": 1}
    backend = configured.current().backend
    replace = backend.replace
    met: list[Any] = []

    def intrude(*arguments: Any) -> Any:
        if not met:
            met.append(arguments)
            other = SessionStore(session_id)
            other["theirs"] = 1
            monkeypatch.setattr(backend, "replace", replace)
            other.save()
        return replace(*arguments)

    monkeypatch.setattr(backend, "replace", intrude)
    store.save()
    assert met
    assert SessionStore(session_id).load() == {"mine": 1}


def test_data_that_was_set_as_it_is_stored_is_a_write_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session_id = stored(old=1)
    late = SessionStore(session_id)
    late["late"] = 1
    store = SessionStore(session_id)
    store._session_cache = {"old": 1}
    store.save()
    late.save()  # finds another version, and merges
    assert SessionStore(session_id).load() == {"old": 1, "late": 1}
    calls = spy(monkeypatch, "replace")
    store = SessionStore(session_id)
    store._session_cache = {"old": 1, "late": 1}
    store.save()
    assert len(calls) == 1


@pytest.mark.parametrize("change", ["save", "cycle_key", "delete"])
def test_a_modules_session_is_nothing_that_the_engine_writes(change: str) -> None:
    session_id = sessions.sync.create("5", {"kept": 1})
    store = SessionStore(session_id)
    store.clear()
    store["n"] = 1
    if change == "save":
        with pytest.raises(UpdateError):
            store.save()
    else:
        getattr(store, change)()
    assert sessions.sync.get(session_id) == {"kept": 1}


@pytest.mark.parametrize("is_new", [False, True])
def test_what_others_write_after_a_save_is_merged_by_the_next_one(is_new: bool) -> None:
    store = SessionStore(None if is_new else stored(old=1))
    if is_new:
        store.clear()  # what it creates replaces nothing; what it writes after is merged
    store["mine"] = 1
    store.save()
    other = SessionStore(store.session_key)
    other["theirs"] = 1
    other.save()
    store["more"] = 1
    store.save()
    expected = {"mine": 1, "theirs": 1, "more": 1} | ({} if is_new else {"old": 1})
    assert SessionStore(store.session_key).load() == expected


def between(monkeypatch: pytest.MonkeyPatch, session_id: str, times: int) -> None:
    """Other processes write as often as that, each time right before a write."""
    module = configured.current()
    backend, replace = module.backend, module.backend.replace
    left = list(range(times))

    def intrude(*arguments: Any) -> Any:
        if left:
            number, waiting = left.pop(), left[:]
            left.clear()
            data = {**SessionStore(session_id).load(), "theirs %d" % number: 1}
            body = json.dumps(data).encode()
            run(backend, module.operations.overwrite(session_id, ENGINE, body, None))
            left.extend(waiting)
        return replace(*arguments)

    monkeypatch.setattr(backend, "replace", intrude)


def test_a_save_merges_as_often_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = stored(old=1)
    store = SessionStore(session_id)
    store["mine"] = 1
    between(monkeypatch, session_id, 3)
    store.save()
    theirs = {"theirs %d" % number: 1 for number in range(3)}
    assert SessionStore(session_id).load() == {"old": 1, "mine": 1, **theirs}


def test_a_save_that_meets_one_conflict_writes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = stored(old=1)
    store = SessionStore(session_id)
    store["mine"] = 1
    calls = written(monkeypatch)
    between(monkeypatch, session_id, 1)
    store.save()
    assert len(calls) == 3  # and the other one's


def test_after_a_conflict_a_save_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = stored(old=1)
    place = place_of(session_id)
    assert place is not None
    store = SessionStore(session_id)
    store["mine"] = 1
    between(monkeypatch, session_id, 1)
    backend = configured.current().backend
    replace = backend.replace
    is_turn_taken = threading.Event()

    def take_turn(*arguments: Any) -> Any:
        if not is_turn_taken.is_set():
            is_turn_taken.set()
            assert queues.enter(place[:2])
        return replace(*arguments)

    monkeypatch.setattr(backend, "replace", take_turn)
    thread = threading.Thread(target=store.save)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    assert SessionStore(session_id).load() == {"old": 1, "theirs 0": 1}
    queues.leave(place[:2])
    thread.join()
    assert SessionStore(session_id).load() == {"old": 1, "mine": 1, "theirs 0": 1}


def test_a_save_whose_turn_does_not_come_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = stored(old=1)
    place = place_of(session_id)
    assert place is not None
    store = SessionStore(session_id)
    store["mine"] = 1
    between(monkeypatch, session_id, 1)
    monkeypatch.setattr("django_jam_sessions.engine_writes.CONFLICTS_END", 0.05)
    assert queues.join(place[:2], 0)
    try:
        with pytest.raises(SessionStoreUnavailable):
            store.save()
    finally:
        queues.leave(place[:2])
    assert SessionStore(session_id).load() == {"old": 1, "theirs 0": 1}


@contextmanager
def waited_for(session_id: str, *stores: SessionStore) -> Iterator[list[BaseException]]:
    """The turn of the session's writers, which the stores that are to save wait for."""
    place = place_of(session_id)
    assert place is not None
    raised: list[BaseException] = []

    def save(store: SessionStore) -> None:
        try:
            store.save()
        except SessionStoreUnavailable as error:
            raised.append(error)

    threads = [threading.Thread(target=save, args=(store,)) for store in stores]
    assert queues.join(place[:2], 0)
    try:
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(queues._waiting[place[:2]]) < number:
                time.sleep(0.001)
        yield raised
    finally:
        queues.leave(place[:2])
    for thread in threads:
        thread.join()


def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that write, from now on."""
    calls: list[Any] = []
    backend = configured.current().backend
    replace = backend.replace

    def noted(*arguments: Any) -> Any:
        calls.append(arguments)
        return replace(*arguments)

    monkeypatch.setattr(backend, "replace", noted)
    return calls


@pytest.mark.parametrize("change", ["save", "cycle_key"])
def test_what_is_torn_when_it_is_to_be_merged_has_ended(change: str) -> None:
    session_id = stored(_auth_user_id="5")
    store = SessionStore(session_id)
    store["mine"] = 1
    module = configured.current()
    run(module.backend, module.operations.overwrite(session_id, ENGINE, b"[torn", None))
    with pytest.raises(UpdateError if change == "save" else SessionInterrupted):
        getattr(store, change)()


def test_who_comes_to_write_does_not_overtake_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = stored(old=1)
    late = SessionStore(session_id)
    late["late"] = 1
    calls = written(monkeypatch)
    with waited_for(session_id, late):
        assert calls == []
    assert SessionStore(session_id).load() == {"old": 1, "late": 1}


def test_who_waits_merges_what_those_before_stored_and_writes_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session_id = stored(old=1)
    stores = [SessionStore(session_id) for _ in range(5)]
    for number, store in enumerate(stores):
        store["store %d" % number] = number
    calls = written(monkeypatch)
    with waited_for(session_id, *stores):
        pass
    everything = {"old": 1, **{"store %d" % number: number for number in range(5)}}
    assert SessionStore(session_id).load() == everything
    assert len(calls) == 5


def test_who_waits_fails_with_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = stored(old=1)
    stores = [SessionStore(session_id) for _ in range(3)]
    for store in stores:
        store["mine"] = 1
    calls: list[Any] = []

    def fail(*arguments: Any) -> Any:
        calls.append(arguments)
        raise SessionStoreUnavailable("It is away.")

    with monkeypatch.context() as patch, waited_for(session_id, *stores) as raised:
        patch.setattr(configured.current().backend, "replace", fail)
    assert [str(error) for error in raised] == ["It is away."] * 3
    assert len(calls) == 1
    again = SessionStore(session_id)
    again["mine"] = 2
    again.save()
    assert SessionStore(session_id).load() == {"old": 1, "mine": 2}


def test_who_waits_does_not_fail_with_what_was_asked_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new id may be at another node, or in another directory."""
    session_id = stored(old=1)
    login, other = SessionStore(session_id), SessionStore(session_id)
    login["_auth_user_id"] = "5"
    other["mine"] = 1

    def fail(*arguments: Any) -> Any:
        raise SessionStoreUnavailable("It is away.")

    monkeypatch.setattr(configured.current().backend, "move", fail)
    with waited_for(session_id, login, other) as raised:
        pass
    assert [str(error) for error in raised] == ["It is away."]
    assert SessionStore(session_id).load() == {"old": 1, "mine": 1}


def test_who_waits_does_not_fail_with_whoever_had_no_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session_id = stored(old=1)
    hasty, other = SessionStore(session_id), SessionStore(session_id)
    hasty["hasty"] = other["mine"] = 1
    backend = configured.current().backend
    replace = backend.replace

    def fail_once(*arguments: Any) -> Any:
        monkeypatch.setattr(backend, "replace", replace)
        raise SessionStoreUnavailable("It is away.")

    def save_without_time() -> None:
        patience.begin()
        patience.lose(1.99)
        SessionStore.save(hasty)

    monkeypatch.setattr(hasty, "save", save_without_time)
    monkeypatch.setattr(backend, "replace", fail_once)
    with waited_for(session_id, hasty, other) as raised:
        pass
    assert [str(error) for error in raised] == ["It is away."]
    assert SessionStore(session_id).load() == {"old": 1, "mine": 1}


def test_what_was_stored_before_one_looked_is_not_merged() -> None:
    session_id = stored(n=1)
    place = place_of(session_id)
    assert place is not None
    other, mine = SessionStore(session_id), SessionStore(session_id)
    assert other.load() == {"n": 1}
    known = other._stored
    newer = SessionStore(session_id)
    newer["n"] = 2
    newer.save()
    assert mine.get("n") == 2
    mine["n"] = 1  # as it was, for others: a change all the same
    before = time.monotonic()
    with waited_for(session_id, mine):
        queues.leave_note(place[:2], (before, known))
    assert SessionStore(session_id).load() == {"n": 1}


def test_a_new_id_of_nobodys_session_stays_at_its_place(settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "ID_FACTORY": lambda: "-made-"}
    old = stored()
    store = SessionStore(old)
    store.cycle_key()
    before, now = place_of(old), place_of(store.session_key)
    assert before is not None
    assert now is not None
    assert (now.locator, now.field != before.field) == (before.locator, True)
    assert "-made-" in str(store.session_key)


def test_a_new_id_after_the_owner_was_removed_leaves_the_owners_place() -> None:
    old = stored(_auth_user_id="5")
    store = SessionStore(old)
    del store["_auth_user_id"]
    store.cycle_key()
    before, now = place_of(old), place_of(store.session_key)
    assert before is not None
    assert now is not None
    assert now.locator != before.locator


@pytest.mark.parametrize("change", ["save", "cycle_key"])
def test_what_writes_nothing_new_lives_as_long_as_if_it_did(clock: Any, change: str) -> None:
    store = SessionStore(stored(_session_expiry=1000))
    store.get("n")
    clock(400)
    getattr(store, change)()
    again = SessionStore(store.session_key)
    again.load()
    assert again._stored is not None
    assert 990_000 < again._stored.record.expires - configured.current().backend.now() <= 1_000_000


def test_tasks_that_come_at_once_work_on_the_same_data() -> None:
    key = stored(n=1)
    store = SessionStore(key)

    async def work() -> None:
        await asyncio.gather(store.aset("a", 1), store.aget("n"), store.aset("b", 2))
        await store.asave()

    asyncio.run(work())
    assert dict(SessionStore(key).items()) == {"n": 1, "a": 1, "b": 2}


@pytest.mark.parametrize("is_async", [False, True])
def test_what_was_never_stored_is_not_asked_for(is_async: bool) -> None:
    store = SessionStore()
    store.failure = SessionStoreUnavailable("It is out.")
    assert (asyncio.run(store.aget("x")) if is_async else store.get("x")) is None


@pytest.mark.parametrize("no_load", [False, True])
def test_who_wants_nothing_loaded_gets_nothing(no_load: bool) -> None:
    store = SessionStore(stored(n=1))
    assert asyncio.run(store._aget_session(no_load)) == ({} if no_load else {"n": 1})


@pytest.mark.parametrize("change", ["save", "cycle_key"])
def test_what_was_loaded_is_not_looked_for_again(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    store = SessionStore(stored(n=1))
    looks = spy(monkeypatch, "fetch")
    store["n"] = 2
    getattr(store, change)()
    assert len(looks) == 1


def test_a_second_look_at_the_store_takes_nothing_of_what_others_wrote() -> None:
    key = stored(n=1)
    mine, theirs = SessionStore(key), SessionStore(key)
    mine["a"] = 1
    theirs["b"] = 2
    theirs.save()
    assert mine.load() == {"n": 1, "b": 2}
    mine.save()
    assert dict(SessionStore(key).items()) == {"n": 1, "a": 1, "b": 2}


@pytest.mark.parametrize("change", ["save", "cycle_key"])
def test_a_second_look_at_the_store_brings_no_ended_session_back(change: str) -> None:
    store = SessionStore(stored(_auth_user_id="5"))
    store["a"] = 1
    sessions.sync.clear("5")
    assert store.load() == {}
    with pytest.raises(UpdateError if change == "save" else SessionInterrupted):
        getattr(store, change)()
    assert sessions.sync.count("5") == 0


def test_what_was_ended_gets_no_new_id_though_the_setting_names_no_owner(settings: Any) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "SESSION_KEY": lambda data: data.get("team")}
    key = stored(_auth_user_id="5")
    store = SessionStore(key)
    store.get("x")
    SessionStore(key).delete(key)
    with pytest.raises(SessionInterrupted):
        store.cycle_key()


@pytest.mark.parametrize("change", ["create", "save", "cycle_key", "touch"])
def test_what_was_written_is_known_to_end_when_it_does(clock: Any, change: str) -> None:
    store = SessionStore(None if change == "create" else stored(n=1, _session_expiry=1800))
    store["n"] = 2
    if change == "touch":
        store.save()
        clock(1000)
    else:
        store.set_expiry(3600)
    getattr(store, change)()
    again = SessionStore(store.session_key)
    again.load()
    assert store.info is not None
    assert again.info is not None
    assert store.info.expires_at is not None
    assert again.info.expires_at is not None
    assert abs(store.info.expires_at - again.info.expires_at) < timedelta(seconds=1)
    assert abs(store.info.last_seen_at - again.info.last_seen_at) < timedelta(seconds=1)


@pytest.mark.parametrize("change", ["save", "cycle_key"])
def test_a_touch_after_a_write_leaves_the_end_that_was_written(
    settings: Any, clock: Any, change: str
) -> None:
    settings.JAM_SESSIONS = {**settings.JAM_SESSIONS, "TOUCH_INTERVAL": 10}
    store = SessionStore(stored(n=1, _session_expiry=60))
    store.set_expiry(3600)
    getattr(store, change)()
    clock(1000)
    store.touch()
    again = SessionStore(store.session_key)
    again.load()
    assert again.info is not None
    assert again.info.expires_at is not None
    assert timedelta(0) < again.info.expires_at - again.info.last_seen_at <= timedelta(seconds=3600)


def test_what_others_write_after_a_sign_in_is_merged_by_the_store_that_made_it() -> None:
    mine = SessionStore(stored(n=1))
    mine["_auth_user_id"] = "5"
    mine.save()
    theirs = SessionStore(mine.session_key)
    theirs["b"] = 2
    theirs.save()
    del mine["n"]
    mine.save()
    assert dict(SessionStore(mine.session_key).items()) == {"_auth_user_id": "5", "b": 2}


@pytest.mark.parametrize("change", ["touch", "save"])
def test_a_client_that_was_written_is_known(clock: Any, change: str) -> None:
    store = SessionStore(stored(n=1))
    store["n"] = 1 if change == "touch" else 2
    store.describe = lambda: ClientInfo("192.0.2.8", "x")
    clock(1000)
    getattr(store, change)()
    assert store.info is not None
    assert store.info.client == ClientInfo("192.0.2.8", "x")
