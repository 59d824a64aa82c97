"""SessionModule on every backend, plain and encrypted, awaited and blocking."""

from __future__ import annotations

import asyncio
import inspect
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_jam_sessions import (
    JamSessionsError,
    SessionInfo,
    SessionModule,
    SessionNotFoundError,
    codec,
)
from django_jam_sessions.module import SyncSessions

from .clocks import StopAt, stop_at
from .conftest import Face
from .test_expiry import START

__all__ = ["stop_at"]

A, B = b"a" * 32, b"b" * 32
NO_SUCH = [
    "",
    "nobody's",
    "0" * 40,
    "٣" * 40,
    "\ud800" * 40,
    "x" * 10_000_000,
    None,
    7,
    ["list"],
]


def test_a_session_is_created_read_replaced_and_ended(module: SessionModule, call: Face) -> None:
    session_id = call(module, "create", "5", {"a": 1, "nested": {"é": [None, "…"]}})
    assert call(module, "get", session_id) == {"a": 1, "nested": {"é": [None, "…"]}}
    assert call(module, "update", session_id, {"b": 2}) is None
    assert call(module, "get", session_id) == {"b": 2}
    assert call(module, "delete", session_id) is None
    with pytest.raises(SessionNotFoundError):
        call(module, "get", session_id)


def test_empty_data_is_data(module: SessionModule, call: Face) -> None:
    assert call(module, "get", call(module, "create", "5", {})) == {}


def test_get_returns_a_default_that_is_given(module: SessionModule, call: Face) -> None:
    assert call(module, "get", "unknown", None) is None
    assert call(module, "get", "unknown", default=7) == 7
    session_id = call(module, "create", "5", {"a": 1})
    assert call(module, "get", session_id, None) == {"a": 1}


@pytest.mark.parametrize("session_id", NO_SUCH, ids=lambda value: repr(value)[:20])
def test_what_is_no_session_is_not_found(
    module: SessionModule, call: Face, session_id: Any
) -> None:
    for method, *arguments in (("get",), ("update", {}), ("delete",), ("rework",)):
        with pytest.raises(SessionNotFoundError, match="no such session"):
            call(module, method, session_id, *arguments)
    with pytest.raises(SessionNotFoundError):
        call(module, "clear_others", session_id)
    assert call(module, "list", "5", current=session_id) == []


def test_every_forgery_of_an_id_is_not_found(module: SessionModule) -> None:
    session_id = module.sync.create("5", {"a": 1})
    for position, old in enumerate(session_id):
        new = "0" if old != "0" else "1"
        forged = session_id[:position] + new + session_id[position + 1 :]
        assert module.sync.get(forged, None) is None
        assert module.sync.get(session_id[:position], None) is None
    assert module.sync.count("5") == 1


def test_a_handle_is_no_id(module: SessionModule, call: Face) -> None:
    call(module, "create", "5", {})
    (info,) = call(module, "list", "5")
    assert call(module, "get", info.handle, None) is None


def test_the_error_is_a_lookup_error_and_shows_no_id(module: SessionModule, call: Face) -> None:
    with pytest.raises(LookupError) as error:
        call(module, "get", "secret-id-of-somebody" * 3)
    assert isinstance(error.value, JamSessionsError)
    assert "secret-id" not in str(error.value)


def test_rework_kills_the_old_id(module: SessionModule, call: Face) -> None:
    old = call(module, "create", "5", {"a": 1})
    (before,) = call(module, "list", "5")
    new = call(module, "rework", old)
    assert new != old
    assert call(module, "get", old, None) is None
    assert call(module, "get", new) == {"a": 1}
    (after,) = call(module, "list", "5", current=new)
    assert after.handle != before.handle
    assert after.is_current
    assert after.created_at == before.created_at
    assert abs(after.expires_at - before.expires_at) < timedelta(seconds=1)
    with pytest.raises(SessionNotFoundError):
        call(module, "rework", old)


def test_clear_ends_the_sessions_of_one_key(module: SessionModule, call: Face) -> None:
    mine = [call(module, "create", "5", {}) for _ in range(3)]
    other = call(module, "create", "6", {})
    assert call(module, "clear", "5") is None
    assert [call(module, "get", session_id, None) for session_id in mine] == [None] * 3
    assert call(module, "get", other) == {}
    with pytest.raises(SessionNotFoundError, match="no sessions"):
        call(module, "clear", "5")


def test_clear_others_keeps_this_one(module: SessionModule, call: Face) -> None:
    mine = [call(module, "create", "5", {}) for _ in range(3)]
    call(module, "clear_others", mine[1])
    assert [call(module, "get", each, None) for each in mine] == [None, {}, None]
    call(module, "delete", mine[1])
    call(module, "create", "5", {})
    with pytest.raises(SessionNotFoundError):
        call(module, "clear_others", mine[1])
    assert call(module, "count", "5") == 1


def test_end_ends_a_session_of_that_key_alone(module: SessionModule, call: Face) -> None:
    session_id = call(module, "create", "5", {})
    (info,) = call(module, "list", "5")
    for key, handle in (("6", info.handle), ("5", "no handle"), ("5", info.handle[:-1] + "!")):
        with pytest.raises(SessionNotFoundError):
            call(module, "end", key, handle)
    assert call(module, "get", session_id) == {}
    call(module, "end", "5", info.handle)
    assert call(module, "get", session_id, None) is None


def test_list_tells_of_each_session_and_marks_the_current(
    module: SessionModule, call: Face
) -> None:
    ids = [call(module, "create", "5", {"secret": "data"}) for _ in range(3)]
    page = call(module, "list", "5", current=ids[0])
    assert len({info.handle for info in page}) == 3
    assert [info.is_current for info in page].count(True) == 1
    assert page.cursor is None
    for info in page:
        assert isinstance(info, SessionInfo)
        assert info.session_key == "5"
        assert info.expires_at is not None
        assert info.expires_at - info.last_seen_at == timedelta(seconds=1_209_600)
        assert info.created_at.utcoffset() == timedelta(0)
        assert not any(session_id in repr(info) for session_id in ids)
    assert call(module, "list", "nobody") == []


def test_list_pages_meet_every_session(module: SessionModule) -> None:
    for _ in range(30):
        module.sync.create("5", {"some": "data that is longer than a compact encoding allows" * 2})
    met: set[str] = set()
    page = module.sync.list("5", limit=7)
    while True:
        assert 1 <= len(page) <= 28
        met |= {info.handle for info in page}
        if page.cursor is None:
            break
        page = module.sync.list("5", limit=7, cursor=page.cursor)
    assert len(met) == 30


def test_keys_meets_every_key(module: SessionModule, call: Face) -> None:
    expected = {"key %d" % number: number for number in range(1, 6)}
    for key, count in expected.items():
        for _ in range(count):
            call(module, "create", key, {})
    met = {}
    page = call(module, "keys", limit=2)
    while True:
        met.update({info.session_key: info.count for info in page})
        if page.cursor is None:
            break
        page = call(module, "keys", limit=2, cursor=page.cursor)
    assert met == expected


@pytest.mark.parametrize("cursor", ["x", "9.", "-1.", "٣.", "0.\n", "0.x y", "1-x", "9" * 30 + "."])
def test_a_made_up_cursor_is_an_error(module: SessionModule, call: Face, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        call(module, "list", "5", cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, "5", None, 1.5])
def test_a_limit_that_is_none_is_an_error(module: SessionModule, call: Face, limit: Any) -> None:
    for arguments in (("list", "5"), ("keys",)):
        with pytest.raises(ValueError, match="limit"):
            call(module, *arguments, limit=limit)


@pytest.mark.parametrize(
    "key", ["5", ":", "a:b", "é", "\U0001f600" * 255, " ", "\n", "\0", "*", "../..", "x" * 255]
)
def test_a_key_may_be_any_text(module: SessionModule, call: Face, key: str) -> None:
    session_id = call(module, "create", key, {"a": 1})
    assert call(module, "get", session_id) == {"a": 1}
    (info,) = call(module, "list", key)
    assert info.session_key == key
    assert [each.session_key for each in call(module, "keys")] == [key]
    call(module, "clear", key)


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (5, TypeError, "A session key must be a str, not int."),
        (None, TypeError, "A session key must be a str, not NoneType."),
        (b"5", TypeError, "A session key must be a str, not bytes."),
        ("", ValueError, "A session key must have 1 to 255 characters."),
        ("x" * 256, ValueError, "A session key must have 1 to 255 characters."),
        ("\ud800", ValueError, "A session key must not hold lone surrogates."),
    ],
)
def test_a_key_that_is_none_is_an_error(
    module: SessionModule, call: Face, key: Any, error: type[Exception], message: str
) -> None:
    for method, *arguments in (
        ("create", {}),
        ("clear",),
        ("list",),
        ("count",),
        ("end", "0" * 15 + "." + "0" * 25),
    ):
        with pytest.raises(error, match="session key") as raised:
            call(module, method, key, *arguments)
        assert str(raised.value) == message


CIRCLE: dict[str, Any] = {}
CIRCLE["a"] = {"b": CIRCLE}


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"good": 1, "bad": object()}, "data['bad']"),
        ({"a": {"b": [1, {2, 3}]}}, "data['a']['b'][1]"),
        ({"a": float("nan")}, "data['a']"),
        ({"a": [float("inf")]}, "data['a'][0]"),
        ({"a": b"bytes"}, "data['a']"),
        ({"a": {1: "x"}}, "the key 1 is no str"),
        ({5: "x"}, "the key 5 is no str"),
        (CIRCLE, "data['a']['b']['a']"),
        ([1], "must be a dict"),
        (None, "must be a dict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_data_that_json_cannot_hold_is_an_error_that_names_the_key(
    module: SessionModule, call: Face, data: Any, named: str
) -> None:
    session_id = call(module, "create", "5", {"a": 1})
    for arguments in (("create", "6"), ("update", session_id)):
        with pytest.raises(TypeError) as error:
            call(module, *arguments, data)
        assert named in str(error.value)
    assert call(module, "get", session_id) == {"a": 1}
    assert call(module, "count", "6") == 0


def test_a_lone_surrogate_comes_back(module: SessionModule, call: Face) -> None:
    session_id = call(module, "create", "5", {"a": "\ud800"})
    assert call(module, "get", session_id) == {"a": "\ud800"}


def test_update_begins_the_life_anew(store: dict[str, Any], call: Face) -> None:
    module = SessionModule(session_ttl=100, **store)
    session_id = call(module, "create", "5", {})
    (before,) = call(module, "list", "5")
    call(module, "update", session_id, {"a": 1})
    (after,) = call(module, "list", "5")
    assert after.expires_at >= before.expires_at
    assert after.expires_at - after.last_seen_at == timedelta(seconds=100)


def test_a_session_without_ttl_never_expires(store: dict[str, Any], call: Face) -> None:
    module = SessionModule(session_ttl=None, **store)
    session_id = call(module, "create", "5", {})
    assert call(module, "list", "5")[0].expires_at is None
    assert call(module, "get", call(module, "rework", session_id)) == {}


def test_an_expired_session_is_not_found(store: dict[str, Any], call: Face) -> None:
    module = SessionModule(session_ttl=0.001, **store)
    session_id = call(module, "create", "5", {"a": 1})
    _wait_for(lambda: call(module, "get", session_id, None) is None)
    for method, *arguments in (("update", {}), ("delete",), ("rework",)):
        with pytest.raises(SessionNotFoundError):
            call(module, method, session_id, *arguments)
    assert call(module, "list", "5") == []


def _wait_for(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
    raise AssertionError("It never came true.")


def test_ids_carry_what_the_factory_makes(store: dict[str, Any], call: Face) -> None:
    module = SessionModule(id_factory=lambda: "always-the-same", **store)
    first, second = (call(module, "create", "5", {"n": n}) for n in (1, 2))
    assert first != second
    assert "always-the-same" in first
    assert "always-the-same" in call(module, "rework", first)
    assert call(module, "get", second) == {"n": 2}


# Rotation of secrets


def sealed(store: dict[str, Any], *secrets: bytes) -> SessionModule:
    return SessionModule(is_session_crypt=True, session_aes_secret=list(secrets), **store)


def test_a_new_first_secret_changes_no_session(store: dict[str, Any], call: Face) -> None:
    old, both = sealed(store, A), sealed(store, B, A)
    session_id = call(old, "create", "5", {"a": 1})
    assert call(both, "get", session_id) == {"a": 1}
    call(both, "update", session_id, {"a": 2})
    assert call(both, "get", session_id) == {"a": 2}
    assert call(old, "get", session_id) == {"a": 2}  # a save keeps the secret
    newer = call(both, "create", "5", {})
    page = call(both, "list", "5", current=session_id)
    assert [info.is_current for info in page].count(True) == 1
    assert len(page) == call(both, "count", "5") == 2
    assert {info.session_key for info in call(both, "keys")} == {"5"}
    call(both, "clear_others", newer)
    assert call(both, "get", session_id, None) is None
    assert call(both, "get", newer) == {}


def test_clear_finds_the_sessions_of_every_secret(store: dict[str, Any], call: Face) -> None:
    old, both = sealed(store, A), sealed(store, B, A)
    ids = [call(old, "create", "5", {}), call(both, "create", "5", {})]
    call(both, "clear", "5")
    assert [call(both, "get", session_id, None) for session_id in ids] == [None, None]


def test_end_finds_a_session_of_an_old_secret(store: dict[str, Any], call: Face) -> None:
    session_id = call(sealed(store, A), "create", "5", {})
    both = sealed(store, B, A)
    (info,) = call(both, "list", "5")
    call(both, "end", "5", info.handle)
    assert call(both, "get", session_id, None) is None


def test_rework_goes_over_to_the_first_secret(store: dict[str, Any], call: Face) -> None:
    session_id = call(sealed(store, A), "create", "5", {"a": 1})
    new_id = call(sealed(store, B, A), "rework", session_id)
    assert call(sealed(store, B), "get", new_id) == {"a": 1}
    assert call(sealed(store, B, A), "get", session_id, None) is None


def test_a_removed_secret_ends_exactly_its_sessions(
    store: dict[str, Any], call: Face, caplog: pytest.LogCaptureFixture
) -> None:
    gone = call(sealed(store, A), "create", "5", {})
    kept = call(sealed(store, B, A), "create", "5", {"kept": True})
    now = sealed(store, B)
    with caplog.at_level(logging.WARNING, "django.security"):
        assert call(now, "get", gone, None) is None
        with pytest.raises(SessionNotFoundError):
            call(now, "update", gone, {})
        with pytest.raises(SessionNotFoundError):
            call(now, "rework", gone)
    assert call(now, "get", kept) == {"kept": True}
    assert ["No secret of ours sealed it" in line for line in caplog.messages] == [True] * 3
    assert gone not in caplog.text


def test_keys_add_up_what_lies_under_each_secret(store: dict[str, Any], call: Face) -> None:
    """On a page that has not met all, the count says that it may be more."""
    old, both = sealed(store, A), sealed(store, B, A)
    for module in (old, both, both):
        call(module, "create", "5", {})
    (info,) = call(both, "keys")
    assert (info.count, info.is_exact) == (3, True)
    for number in range(60):
        call(both, "create", "other-%d" % number, {})
    cursor, met = None, []
    while True:
        page = call(both, "keys", limit=1, cursor=cursor)
        met += page
        cursor = page.cursor
        if cursor is None:
            break
    assert len(met) >= 61
    assert not any(each.is_exact for each in met if each.session_key != "5")
    five = [each for each in met if each.session_key == "5"]
    assert all(each.is_exact == (each.count == 3) for each in five)


@pytest.mark.parametrize("last", ["old", "new"])
def test_keys_tell_when_any_session_of_a_key_was_seen_last(
    store: dict[str, Any], call: Face, stop_at: StopAt, last: str
) -> None:
    """Whichever secret it lies under, and in whatever order they are met."""
    modules = {"old": sealed(store, A), "new": sealed(store, B, A)}
    for milliseconds, name in enumerate(sorted(modules, key=lambda name: name == last)):
        stop_at(START + milliseconds)
        for number in range(8):
            call(modules[name], "create", "key %d" % number, {})
    infos = list(call(modules["new"], "keys"))
    assert {info.last_seen_at.timestamp() * 1000 for info in infos} == {START + 1}
    assert [info.count for info in infos] == [2] * 8


def test_clear_others_tells_no_success_where_it_can_open_nothing(
    store: dict[str, Any], call: Face
) -> None:
    """A server that does not have the session's secret does not know whose others to end."""
    old, both = sealed(store, A), sealed(store, B, A)
    mine, other = (call(both, "create", "5", {}) for _ in range(2))
    with pytest.raises(SessionNotFoundError):
        call(old, "clear_others", mine)
    assert call(both, "get", other) == {}
    call(both, "clear_others", mine)
    assert call(both, "get", other, None) is None


def test_pages_of_a_list_go_from_secret_to_secret(store: dict[str, Any]) -> None:
    old, both = sealed(store, A), sealed(store, B, A)
    for module in (old, both):
        for _ in range(5):
            module.sync.create("5", {"text": "x" * 100})
    met: list[str] = []
    page = both.sync.list("5", limit=3)
    met += [info.handle for info in page]
    while page.cursor is not None:
        page = both.sync.list("5", limit=3, cursor=page.cursor)
        met += [info.handle for info in page]
    assert len(met) == len(set(met)) == 10


def test_plain_and_encrypted_do_not_read_each_others(store: dict[str, Any], call: Face) -> None:
    plain, crypt = SessionModule(**store), sealed(store, A)
    for writer, reader in ((plain, crypt), (crypt, plain)):
        session_id = call(writer, "create", "5", {"a": 1})
        assert call(reader, "get", session_id, None) is None
        with pytest.raises(SessionNotFoundError):
            call(reader, "update", session_id, {})
        assert call(writer, "get", session_id) == {"a": 1}


# The constructor


def test_the_signature_is_the_documented_one() -> None:
    parameters = inspect.signature(SessionModule).parameters
    assert list(parameters) == [
        "sessions_type",
        "id_factory",
        "is_session_crypt",
        "session_aes_secret",
        "module_kwargs",
    ]
    first, second = parameters["id_factory"].default(), parameters["id_factory"].default()
    assert len(first) == 36
    assert first != second


def test_every_method_has_a_blocking_twin_with_the_same_signature() -> None:
    names = [name for name in vars(SessionModule) if name[0] != "_"]
    assert names == [name for name in vars(SyncSessions) if name[0] != "_"]
    assert {"create", "get", "update", "delete", "rework", "clear"} < set(names)
    for name in names:
        awaited, blocking = getattr(SessionModule, name), getattr(SyncSessions, name)
        assert inspect.iscoroutinefunction(awaited), name
        assert inspect.signature(awaited) == inspect.signature(blocking), name
        assert awaited.__doc__, name


@pytest.mark.parametrize("kind", ["redis", "json"])
def test_an_argument_that_nobody_knows_is_named(kind: Any, tmp_path: Any) -> None:
    with pytest.raises(TypeError, match="'session_tll'"):
        SessionModule(kind, json_path=tmp_path / "x", session_tll=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sessions_type": "memcached"}, "sessions_type must be one of redis, json, custom"),
        ({"session_ttl": 0}, "session_ttl must be"),
        ({"session_ttl": True}, "session_ttl must be"),
        ({"session_ttl": "5"}, "session_ttl must be"),
        ({"id_factory": "uuid4"}, "id_factory must be a function"),
        ({"is_session_crypt": True, "session_aes_secret": b"short"}, "exactly 32 bytes"),
        ({"sessions_type": "redis", "redis_uri": "localhost:6379"}, "redis_uri must be"),
        ({"sessions_type": "redis", "redis_uri": 5}, "redis_uri must be"),
        ({"sessions_type": "redis", "sessions_path": "a*b"}, "sessions_path must"),
        ({"sessions_type": "redis", "sessions_path": ""}, "sessions_path must"),
        ({"sessions_type": "custom"}, "custom_module must be a class"),
        ({"sessions_type": "custom", "custom_module": "no.such"}, "can't be imported"),
        ({"sessions_type": "custom", "custom_module": dict}, "dict lacks acount, afetch"),
        ({"sessions_type": "custom", "custom_module": object()}, "must be a class"),
    ],
)
def test_a_mistake_is_found_in_the_constructor(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        SessionModule(**{"sessions_type": "json", **arguments})


def test_a_custom_class_is_asked_about_its_arguments() -> None:
    mistakes: list[dict[str, Any]] = [{}, {"sqlite_path": "x", "colour": "red"}]
    for options in mistakes:
        with pytest.raises(TypeError, match="custom_module SQLiteBackend"):
            SessionModule("custom", custom_module="testproject.backends.SQLiteBackend", **options)


def test_one_module_serves_one_event_loop_after_another(module: SessionModule) -> None:
    session_id = asyncio.run(module.create("5", {"a": 1}))
    assert asyncio.run(module.get(session_id)) == {"a": 1}
    assert module.sync.get(session_id) == {"a": 1}


def test_a_taken_id_is_not_used_twice(
    module: SessionModule, call: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The insert refuses it, and another id is made."""
    monkeypatch.setattr(codec, "new_secret", iter(["0" * 25, "0" * 25, "1" * 25]).__next__)
    module._steps.id_factory = lambda: "x"
    first, second = call(module, "create", "5", {"n": 1}), call(module, "create", "5", {"n": 2})
    assert first != second
    assert call(module, "get", first) == {"n": 1}
    assert call(module, "get", second) == {"n": 2}
