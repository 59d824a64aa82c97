"""The contract of a backend: every backend, blocking and async."""

from __future__ import annotations

import dataclasses
import inspect
import os
from typing import Any

import pytest

from django_jam_sessions import codec
from django_jam_sessions.backends import base, build
from django_jam_sessions.backends.base import METHODS, Backend
from django_jam_sessions.codec import ENGINE, MODULE, PLAIN, Change, Place, Record, new_version

from .conftest import Face

HOUR = 3_600_000


@pytest.fixture
def backend(store: dict[str, Any]) -> Backend:
    options = dict(store)
    return build(options.pop("sessions_type"), options)


def place(locator: str | None = None, issuer: bytes | None = MODULE) -> Place:
    return Place(locator or codec.random_locator(), os.urandom(16), issuer)


def record(body: bytes = b"{}", **fields: Any) -> Record:
    plain = Record(MODULE, PLAIN, new_version(), 0, 0, 5, 5, b'["5"]', body)
    return plain._replace(**fields)


def change(body: bytes, **fields: Any) -> Change:
    return Change(new_version(), PLAIN, body)._replace(**fields)


@dataclasses.dataclass
class Contract:
    backend: Backend
    call: Face

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.call(self.backend, name, *args)


@pytest.fixture
def store_(backend: Backend, call: Face) -> Contract:
    return Contract(backend, call)


def test_what_was_inserted_is_fetched(store_: Contract) -> None:
    """Everything but the times, which the store's clock sets."""
    here, body = place(), b'{"a":[1,null,"\xc3\xa9"]}'
    new = record(body, secret_id=b"\x00\x01\xff\xfe", absolute=1 << 47, created=7)
    before = store_.now()
    assert store_.insert(here, new, HOUR) is True
    found = store_.fetch(here)
    assert found == new._replace(expires=found.expires, last_seen=found.last_seen)
    assert before - 50 <= found.last_seen <= store_.now() + 50
    assert found.expires == found.last_seen + HOUR


@pytest.mark.parametrize("body", [b"", b"\x00\xff" * 9, b'"text"', b"{} ", b"1e3", b"NaN", b"[1]"])
def test_a_body_comes_back_to_the_byte(store_: Contract, body: bytes) -> None:
    here = place()
    store_.insert(here, record(body), HOUR)
    assert store_.fetch(here).body == body


def test_a_taken_place_refuses_another_record(store_: Contract) -> None:
    here, first = place(), record(b"[1]")
    store_.insert(here, first, HOUR)
    assert store_.insert(here, record(b"[2]"), HOUR) is False
    assert store_.fetch(here).body == b"[1]"


def test_an_insert_that_is_repeated_succeeds(store_: Contract) -> None:
    """Its reply was lost: the version says that it is the same one."""
    here, new = place(), record()
    assert store_.insert(here, new, HOUR) is True
    assert store_.insert(here, new, HOUR) is True
    assert store_.count(here.locator) == 1


def test_nothing_is_fetched_where_nothing_is(store_: Contract) -> None:
    here = place()
    assert store_.fetch(here) is None
    store_.insert(here, record(), HOUR)
    assert store_.fetch(place(here.locator)) is None


def test_another_issuers_record_is_not_there(store_: Contract) -> None:
    here = place()
    store_.insert(here, record(), HOUR)
    engines = here._replace(issuer=ENGINE)
    assert store_.fetch(engines) is None
    assert store_.replace(engines, change(b"[2]"), None, HOUR) is False
    assert store_.touch(engines, None, HOUR) is False
    assert store_.remove(engines) is False
    assert store_.move(engines, place(here.locator, ENGINE), record(), None, HOUR) is False
    assert store_.fetch(here).body == b"{}"
    assert store_.fetch(here._replace(issuer=None)) is not None


def test_replace_gives_a_new_body_and_keeps_the_rest(store_: Contract) -> None:
    here, old = place(), record(absolute=1 << 47, created=7)
    store_.insert(here, old, HOUR)
    write = change(b"[2]")
    assert store_.replace(here, write, old.version, 2 * HOUR) is True
    found = store_.fetch(here)
    assert (found.body, found.version, found.meta) == (b"[2]", write.version, old.meta)
    assert (found.created, found.absolute) == (7, 1 << 47)
    assert found.expires == found.last_seen + 2 * HOUR


def test_replace_sets_a_meta_part_that_is_given(store_: Contract) -> None:
    here = place()
    store_.insert(here, record(), HOUR)
    store_.replace(here, change(b"[2]", meta=b'["5","phone"]'), None, HOUR)
    found = store_.fetch(here)
    assert (found.meta, found.body) == (b'["5","phone"]', b"[2]")


def test_replace_refuses_another_version_and_returns_what_is_stored(store_: Contract) -> None:
    here, old = place(), record()
    store_.insert(here, old, HOUR)
    other = change(b"[2]")
    store_.replace(here, other, old.version, HOUR)
    stored = store_.replace(here, change(b"[3]"), old.version, HOUR)
    assert (stored.version, stored.body) == (other.version, b"[2]")
    assert store_.fetch(here).body == b"[2]"


def test_replace_refuses_another_secret(store_: Contract) -> None:
    """A body sealed with one secret under a header that names another would be lost."""
    here, old = place(), record(secret_id=b"abcd")
    store_.insert(here, old, HOUR)
    assert store_.replace(here, change(b"[2]"), None, HOUR).secret_id == b"abcd"
    assert store_.replace(here, change(b"[2]", secret_id=b"abcd"), None, HOUR) is True


def test_a_replace_that_is_repeated_succeeds(store_: Contract) -> None:
    here, old, write = place(), record(), change(b"[2]")
    store_.insert(here, old, HOUR)
    assert store_.replace(here, write, old.version, HOUR) is True
    assert store_.replace(here, write, old.version, HOUR) is True


def test_replace_and_touch_resurrect_nothing(store_: Contract) -> None:
    here, old = place(), record()
    store_.insert(here, old, HOUR)
    store_.remove(here)
    assert store_.replace(here, change(b"[2]"), old.version, HOUR) is False
    assert store_.replace(here, change(b"[2]"), None, HOUR) is False
    assert store_.touch(here, None, HOUR) is False
    assert store_.move(here, place(here.locator), record(), old.version, HOUR) is False
    assert store_.move(here, place(), record(), old.version, HOUR) is False
    assert store_.count(here.locator) == 0


def test_touch_moves_the_expiry_and_nothing_else(store_: Contract) -> None:
    here, old = place(), record(b"[1]")
    store_.insert(here, old, HOUR)
    before = store_.fetch(here)
    assert store_.touch(here, old.version, 3 * HOUR) is True
    found = store_.fetch(here)
    assert found.expires >= before.expires + 2 * HOUR
    assert found == before._replace(expires=found.expires, last_seen=found.last_seen)


def test_touch_refuses_another_version(store_: Contract) -> None:
    """Whoever wrote it may have shortened its life."""
    here, old = place(), record()
    store_.insert(here, old, HOUR)
    store_.replace(here, change(b"[2]"), old.version, HOUR)
    assert store_.touch(here, old.version, 9 * HOUR).body == b"[2]"
    assert store_.fetch(here).expires < store_.now() + 2 * HOUR


def test_touch_sets_a_meta_part_that_is_given(store_: Contract) -> None:
    here = place()
    store_.insert(here, record(b"[1]"), HOUR)
    assert store_.touch(here, None, HOUR, b'["5","a longer description than before"]') is True
    found = store_.fetch(here)
    assert (found.meta, found.body) == (b'["5","a longer description than before"]', b"[1]")


@pytest.mark.parametrize("is_near", [True, False], ids=["within a locator", "between two"])
def test_move_leaves_one_record(store_: Contract, is_near: bool) -> None:
    source, old = place(), record()
    store_.insert(source, old, HOUR)
    target, new = place(source.locator if is_near else None), record(b"[2]", created=9)
    assert store_.move(source, target, new, old.version, HOUR) is True
    assert store_.fetch(source) is None
    found = store_.fetch(target)
    assert (found.body, found.created, found.version) == (b"[2]", 9, new.version)
    assert store_.count(target.locator) == 1


@pytest.mark.parametrize("is_near", [True, False], ids=["within a locator", "between two"])
def test_move_refuses_another_version(store_: Contract, is_near: bool) -> None:
    source, old = place(), record()
    store_.insert(source, old, HOUR)
    store_.replace(source, write := change(b"[2]"), old.version, HOUR)
    target = place(source.locator if is_near else None)
    stored = store_.move(source, target, record(b"[3]"), old.version, HOUR)
    assert (stored.version, stored.body) == (write.version, b"[2]")
    assert store_.fetch(target) is None
    assert store_.fetch(source).body == b"[2]"


def test_a_move_that_is_repeated_succeeds(store_: Contract) -> None:
    source, old = place(), record()
    store_.insert(source, old, HOUR)
    target, new = place(source.locator), record(b"[2]")
    assert store_.move(source, target, new, old.version, HOUR) is True
    assert store_.move(source, target, new, old.version, HOUR) is True


def test_a_record_goes_over_as_it_is(store_: Contract) -> None:
    source = place()
    store_.insert(source, record(b"[1]"), HOUR)
    before = store_.fetch(source)
    target, version = place(source.locator), new_version()
    assert store_.move(source, target, version, None, None) is True
    assert store_.fetch(source) is None
    assert store_.fetch(target) == before._replace(version=version)
    assert store_.move(source, target, version, None, None) is True
    assert store_.move(source, place(source.locator), new_version(), None, None) is False


def test_a_sealed_record_does_not_go_over_as_it_is(store_: Contract) -> None:
    """It would open nowhere else."""
    source, old = place(), record(secret_id=b"abcd")
    store_.insert(source, old, HOUR)
    stored = store_.move(source, place(source.locator), new_version(), None, None)
    assert stored.version == old.version
    assert store_.fetch(source) is not None


def test_remove_says_whether_there_was_one(store_: Contract) -> None:
    here = place()
    assert store_.remove(here) is False
    store_.insert(here, record(), HOUR)
    assert store_.remove(here) is True
    assert store_.remove(here) is False
    assert store_.fetch(here) is None


def test_remove_all_ends_one_locator(store_: Contract) -> None:
    here, other = place(), place()
    for each in (here, place(here.locator), other):
        store_.insert(each, record(), HOUR)
    assert store_.remove_all(here.locator) is True
    assert store_.remove_all(here.locator) is False
    assert store_.count(here.locator) == 0
    assert store_.fetch(other) is not None


def test_remove_all_keeps_one(store_: Contract) -> None:
    here, other = place(), None
    for _ in range(3):
        other = place(here.locator)
        store_.insert(other, record(), HOUR)
    assert store_.remove_all(here.locator, here.field) is False  # it isn't there
    assert store_.count(here.locator) == 3
    store_.insert(here, record(b"[1]"), HOUR)
    assert store_.remove_all(here.locator, here.field) is True
    assert store_.count(here.locator) == 1
    assert store_.fetch(here).body == b"[1]"


@pytest.mark.parametrize("ttl", [0, -1, -HOUR])
def test_what_has_no_time_left_is_dead_at_once(store_: Contract, ttl: int) -> None:
    here, there = place(), place()
    assert store_.insert(here, record(), ttl) is True
    assert store_.fetch(here) is None
    store_.insert(there, record(), HOUR)
    assert store_.replace(there, change(b"[2]"), None, ttl) is True
    assert store_.fetch(there) is None
    assert store_.count(there.locator) == 0


def test_no_ttl_is_no_expiry(store_: Contract) -> None:
    here = place()
    store_.insert(here, record(), None)
    assert store_.fetch(here).expires == 0
    store_.touch(here, None, HOUR)
    store_.touch(here, None, None)
    assert store_.fetch(here).expires == 0
    assert purged(store_) == set()


def test_a_huge_ttl_is_bounded(store_: Contract) -> None:
    here = place()
    store_.insert(here, record(), 10**30)
    assert store_.fetch(here).expires == base.MAX_TIME


def test_an_absolute_expiry_ends_a_session_whatever_its_ttl(store_: Contract) -> None:
    here, there = place(), place()
    store_.insert(here, record(absolute=1), HOUR)
    assert store_.fetch(here) is None
    store_.insert(there, record(absolute=store_.now() + HOUR), None)
    assert store_.fetch(there) is not None


def test_expired_records_are_swept(store_: Contract, backend: Backend) -> None:
    """A page does not show them, and purge() removes them; live ones of the key remain."""
    here = place()
    store_.insert(here, record(), HOUR)
    dead = {place(here.locator) for _ in range(5)}
    for each in dead:
        store_.insert(each, record(absolute=1), None)
    page, cursor = store_.list(here.locator, 100)
    assert [field for field, _ in page] == [here.field]
    assert cursor is None
    assert store_.count(here.locator) == 1
    purged(store_)
    assert purged(store_) == set()
    assert store_.fetch(here) is not None


def test_purge_names_what_it_removed(store_: Contract) -> None:
    gone = {place() for _ in range(5)}
    for each in gone:
        store_.insert(each, record(absolute=1), HOUR)
    assert {(each.locator, each.field) for each in purged(store_)} <= {each[:2] for each in gone}
    assert all(store_.fetch(each) is None for each in gone)


def purged(store_: Contract) -> set[codec.Place]:
    """What purge() removes, page after page."""
    found, cursor = set(), None
    while True:
        page, cursor = store_.purge(cursor)
        assert all(removed.body == b"" for _, removed in page)
        found |= {each for each, _ in page}
        if cursor is None:
            return found


def test_list_shows_all_and_no_bodies(store_: Contract) -> None:
    locator = codec.random_locator()
    places = {place(locator).field for _ in range(7)}
    for field in places:
        store_.insert(Place(locator, field), record(b"[1,2,3]", meta=b'["5","phone"]'), HOUR)
    page, cursor = store_.list(locator, 100)
    assert {field for field, _ in page} == places
    assert cursor is None
    assert {(each.meta, each.body) for _, each in page} == {(b'["5","phone"]', b"")}


def test_list_pages_meet_everything(store_: Contract) -> None:
    locator = codec.random_locator()
    fields = {place(locator).field for _ in range(60)}
    for field in fields:
        store_.insert(Place(locator, field), record(b"x" * 100), HOUR)
    met, cursor, pages = set(), None, 0
    while True:
        page, cursor = store_.list(locator, 10, cursor)
        assert len(page) <= 40
        met |= {field for field, _ in page}
        pages += 1
        if cursor is None:
            break
    assert met == fields
    assert pages > 1


def test_scan_meets_every_locator(store_: Contract) -> None:
    locators = {codec.random_locator(): count for count in range(1, 26)}
    for locator, count in locators.items():
        for _ in range(count):
            store_.insert(place(locator), record(), HOUR)
    met, cursor = {}, None
    while True:
        found, cursor = store_.scan(10, cursor)
        met.update({each.locator: each.count for each in found})
        for each in found:
            assert len(each.sessions) == each.count
        if cursor is None:
            break
    assert met == locators


def test_scan_counts_what_it_does_not_read(store_: Contract) -> None:
    locator = codec.random_locator()
    for _ in range(130):
        store_.insert(place(locator), record(b"x" * 100), HOUR)
    (found,), _ = store_.scan(1000)
    assert found.count == 130
    assert 100 <= len(found.sessions) <= 130


def test_the_contract_names_every_public_method() -> None:
    public = {name for name, _ in inspect.getmembers(Backend, callable) if name[0] != "_"}
    assert public == {name for method in METHODS for name in (method, "a" + method)}


def test_every_method_has_a_twin_with_the_same_signature(backend: Backend) -> None:
    for name in METHODS:
        blocking, awaited = getattr(type(backend), name), getattr(type(backend), "a" + name)
        assert inspect.signature(blocking) == inspect.signature(awaited), name
        assert inspect.iscoroutinefunction(awaited), name
