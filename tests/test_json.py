"""The JSON backend's own promises: its files, its locks, and what others do to them."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from django_jam_sessions import SessionModule, SessionNotFoundError, SessionStoreUnavailable, codec
from django_jam_sessions.backends import documents as layout
from django_jam_sessions.backends.base import expired
from django_jam_sessions.backends.directory import Directory
from django_jam_sessions.backends.json import JSONBackend
from django_jam_sessions.codec import Place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "sessions"


@pytest.fixture
def module(path: Path) -> SessionModule:
    return SessionModule("json", json_path=path)


def documents(path: Path) -> list[Path]:
    return sorted(path.rglob("*.json"))


def test_a_document_is_readable_and_may_be_edited(module: SessionModule, path: Path) -> None:
    session_id = module.sync.create("5", {"name": "Ada"})
    (file,) = documents(path)
    text = file.read_text()
    assert '"data": {"name":"Ada"}' in text
    document = json.loads(text)
    assert document["meta"] == ["5"]
    document["data"]["name"] = "Grace"
    file.write_text(json.dumps(document, indent=4))
    assert module.sync.get(session_id) == {"name": "Grace"}


def test_a_moving_document_is_the_old_record_or_the_new_by_where_it_lies() -> None:
    bodies = [b"{}", b"\xff\x00", b'{ "a" : 1.50 }', b""]
    old, new = Place("a" * 15, bytes(16)), Place("b" * 15, bytes(16))
    for body in bodies:
        stored = codec.Record(b"e", b"\0\1\2\3", b"version8", 1, 0, 2, 3, b'["5"]', body)
        moved = stored._replace(version=b"version9", issuer=b"m", meta=b"", body=body + body)
        document = layout.dumps_moving(stored, new, moved)
        assert layout.loads(document, old) == layout.loads(document) == stored
        assert layout.loads(document, new) == moved


@pytest.mark.parametrize("moving", [5, "x", {}, [], {"to": 5}, {"to": "b"}, None, True])
def test_a_torn_moving_document_raises_what_is_caught(moving: Any) -> None:
    record = codec.Record(b"e", b"\0\1\2\3", b"version8", 1, 0, 2, 3, b'["5"]', b"{}")
    document = json.loads(layout.dumps(record))
    with contextlib.suppress(*layout.ERRORS):
        place = Place("b" * 15, bytes(16))
        assert layout.loads(json.dumps({**document, "moving": moving}).encode(), place) == record


@pytest.mark.parametrize(
    "body", [b"{}", b'{"a":"\\u00e9"}', b"", b'"text"', b"{\n}\n}", b"\xff{}", b"5"]
)
@pytest.mark.parametrize("is_edited", [False, True])
def test_a_document_gives_back_what_it_was_given(body: bytes, is_edited: bool) -> None:
    record = codec.Record(b"e", b"\0\1\2\3", b"version8", 1, 0, 2, 3, b'["5"]', body)
    document = layout.dumps(record)
    if is_edited and body not in (b"{\n}\n}",):  # which only looks like JSON
        document = json.dumps(json.loads(document)).encode()
    assert layout.loads(document) == record


def test_nobody_else_may_read(module: SessionModule, path: Path) -> None:
    old = os.umask(0)
    try:
        module.sync.create("5", {})
    finally:
        os.umask(old)
    for each in [path, *path.rglob("*")]:
        mode = stat.S_IMODE(each.lstat().st_mode)
        if each.name != ".gitignore":
            assert mode == (0o700 if each.is_dir() else 0o600), each


def test_no_lock_file_is_ever_removed(module: SessionModule, path: Path) -> None:
    for number in range(20):
        module.sync.create(str(number), {})
        module.sync.clear(str(number))
    module.sync.purge()
    assert len(list((path / "locks").iterdir())) == 256
    assert documents(path) == []
    assert list((path / "trash").iterdir()) == []


def test_an_ended_session_leaves_no_directory(module: SessionModule, path: Path) -> None:
    module.sync.delete(module.sync.create("5", {}))
    (shard,) = [each for each in path.iterdir() if len(each.name) == 2]
    assert list(shard.iterdir()) == []


TORN = [
    b"",
    b"{",
    b"[]",
    b"5",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"format": 1}',
    b'{"format": "x"}',
    {"expires_ms": "soon"},
    {"expires_ms": float("inf")},
    {"expires_ms": -1},
    {"created_ms": -(10**20)},
    {"last_seen_ms": 10**20},
    {"issuer": 5},
    {"secret": "zz"},
    {"version": None},
    {"data": "not base64!"},
    {"data": "base64:AAAA"},
    {"data": [1]},
    {"data": None},
]


@pytest.mark.parametrize("content", TORN, ids=lambda content: repr(content)[:30])
def test_a_torn_document_is_one_unusable_session_and_a_log_line(
    module: SessionModule, path: Path, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    torn = module.sync.create("5", {"a": 1})
    (file,) = documents(path)
    other = module.sync.create("5", {"b": 2})
    if isinstance(content, dict):
        content = json.dumps({**json.loads(file.read_text()), **content}).encode()
    file.write_bytes(content)
    assert module.sync.get(torn, None) is None
    assert "is unusable" in caplog.text or "it is unusable" in caplog.text
    assert torn not in caplog.text
    assert module.sync.get(other) == {"b": 2}
    assert other_is_listed(module)
    module.sync.purge()
    module.sync.clear("5")
    assert documents(path) == []


def other_is_listed(module: SessionModule) -> bool:
    return module.sync.count("5") >= 1 and len(module.sync.list("5")) >= 1


@pytest.mark.parametrize(
    "meta",
    ["5", "[5]", '[["5"]]', '[""]', '["\\ud800"]', '["%s"]' % ("x" * 256), "[" * 9999],
    ids=lambda meta: str(meta[:12]),
)
def test_a_torn_meta_part_hides_the_session_from_the_list_alone(
    module: SessionModule, path: Path, caplog: pytest.LogCaptureFixture, meta: str
) -> None:
    """Also one that names what no session key can be."""
    session_id = module.sync.create("5", {"a": 1})
    (file,) = documents(path)
    file.write_text(file.read_text().replace('["5"]', meta))
    assert module.sync.get(session_id) == {"a": 1}
    assert module.sync.list("5") == []
    assert module.sync.keys() == []
    with pytest.raises(SessionNotFoundError):
        module.sync.clear_others(session_id)
    assert "torn" in caplog.text


def test_a_later_releases_session_is_alive_and_hides_nobody(
    module: SessionModule, path: Path
) -> None:
    later = module.sync.create("5", {"a": 1})
    (file,) = documents(path)
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))
    other = module.sync.create("5", {})
    with pytest.raises(SessionStoreUnavailable, match="format"):
        module.sync.get(later)
    assert [info.is_current for info in module.sync.list("5", current=other)] == [True]
    assert module.sync.purge() == 0
    assert file.exists()


@pytest.mark.parametrize("kind", ["symlink", "directory"])
def test_what_is_in_the_way_of_a_document_is_a_dead_session(
    module: SessionModule, path: Path, tmp_path: Path, kind: str
) -> None:
    session_id = module.sync.create("5", {"a": 1})
    (file,) = documents(path)
    content = file.read_bytes()
    file.unlink()
    if kind == "symlink":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.mkdir()
    assert module.sync.get(session_id, None) is None
    assert module.sync.list("5") == []
    module.sync.clear("5")
    assert (tmp_path / "elsewhere").exists() is (kind == "symlink")


def test_a_removed_directory_ends_every_session_and_no_service(
    module: SessionModule, path: Path
) -> None:
    import shutil

    session_id = module.sync.create("5", {})
    shutil.rmtree(path)
    assert module.sync.get(session_id, None) is None
    assert module.sync.list("5") == []
    assert module.sync.keys() == []
    assert module.sync.purge() == 0
    with pytest.raises(SessionNotFoundError):
        module.sync.clear("5")
    assert module.sync.get(module.sync.create("5", {"a": 1})) == {"a": 1}


def test_clear_does_without_its_trash(module: SessionModule, path: Path) -> None:
    session_id = module.sync.create("5", {})
    (path / "trash").rmdir()
    module.sync.clear("5")
    assert module.sync.get(session_id, None) is None


def test_purge_removes_what_a_killed_process_left(module: SessionModule, path: Path) -> None:
    session_id = module.sync.create("5", {"a": 1})
    (file,) = documents(path)
    stale = file.with_name(file.name + ".tmp")
    stale.write_text("half a docu")
    (path / "trash" / "grave").mkdir()
    (path / "trash" / "grave" / "x.json").write_text("{}")
    module.sync.purge()
    assert not stale.exists()
    assert list((path / "trash").iterdir()) == []
    assert module.sync.get(session_id) == {"a": 1}


def test_purge_removes_the_expired_and_keeps_the_rest(path: Path, clock: Any) -> None:
    short = SessionModule("json", json_path=path, session_ttl=10)
    long = SessionModule("json", json_path=path, session_ttl=1000)
    for number in range(3):
        short.sync.create(str(number), {})
    kept = long.sync.create("0", {})
    clock(11)
    assert long.sync.purge() == 3
    assert len(documents(path)) == 1
    assert long.sync.get(kept) == {}


def test_expiry_is_judged_at_its_edge(path: Path, clock: Any, monkeypatch: Any) -> None:
    backend = JSONBackend(path)
    now = 1_000_000
    monkeypatch.setattr(backend, "now", lambda: now)
    module = SessionModule("json", json_path=path, session_ttl=10)
    module.backend = module.sync._backend = backend
    session_id = module.sync.create("5", {})
    now += 9_999
    assert module.sync.get(session_id) == {}
    now += 1
    assert module.sync.get(session_id, None) is None


@pytest.mark.parametrize("problem", ["file", "mode", "others"])
def test_a_directory_that_is_not_ours_is_refused(path: Path, problem: str) -> None:
    path.parent.mkdir()
    if problem == "file":
        path.write_text("a file")
    else:
        path.mkdir()
        (path / "letter.txt").write_text("dear")
        if problem == "mode":
            path.chmod(0o777)
    module = SessionModule("json", json_path=path)
    for method, *arguments in (("create", "5", {}), ("get", "0" * 40), ("clear", "5"), ("keys",)):
        with pytest.raises(SessionStoreUnavailable, match="json_path"):
            getattr(module.sync, method)(*arguments)


def test_all_can_begin_with_the_directory_at_once(path: Path) -> None:
    failed = []
    for number in range(20):
        barrier = threading.Barrier(8)

        def start(path: Path = path / str(number), barrier: threading.Barrier = barrier) -> None:
            directory = Directory(path)
            barrier.wait()
            try:
                directory.prepare()
            except SessionStoreUnavailable as error:
                failed.append(error)

        starting = [threading.Thread(target=start) for _ in range(8)]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
    assert failed == []


def test_a_start_that_was_cut_off_is_finished(path: Path) -> None:
    (path / "locks").mkdir(parents=True, mode=0o700)
    path.chmod(0o700)
    module = SessionModule("json", json_path=path)
    assert module.sync.get(module.sync.create("5", {"a": 1})) == {"a": 1}


def test_a_disk_that_is_full_is_an_error_and_leaves_nothing(
    module: SessionModule, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = module.sync.create("5", {"a": 1})

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for method, *arguments in (("create", "5", {}), ("update", session_id, {"a": 2})):
        with pytest.raises(SessionStoreUnavailable, match="No space left"):
            getattr(module.sync, method)(*arguments)
    monkeypatch.undo()
    assert module.sync.get(session_id) == {"a": 1}
    assert not list(path.rglob("*.tmp"))
    assert module.sync.count("5") == 1


def test_a_lock_that_cannot_be_had_is_an_error(
    module: SessionModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's lock() says so by returning False."""
    monkeypatch.setattr("django.core.files.locks.lock", lambda *args: False)
    with pytest.raises(SessionStoreUnavailable, match="locked"):
        module.sync.create("5", {})


def test_a_lock_goes_with_whoever_was_interrupted(module: SessionModule) -> None:
    """A signal's handler may raise between a lock and its release, as those of time limits do."""
    backend = module.backend
    assert isinstance(backend, JSONBackend)
    held = backend.directory.locked("a")
    held.__enter__()
    del held

    def take() -> None:
        with backend.directory.locked("a"):
            pass

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    taker.join(5)
    assert not taker.is_alive()


def test_whoever_holds_a_lock_does_not_wait_for_it(module: SessionModule) -> None:
    """Where an interruption is handled, its traceback still holds what it interrupted."""
    backend = module.backend
    assert isinstance(backend, JSONBackend)
    with backend.directory.locked("a"), pytest.raises(SessionStoreUnavailable, match="already"):
        backend.directory.locked("b", "a").__enter__()
    with backend.directory.locked("b", "a"):
        pass


def hold_lock(path: str, locator: str, held: Any, release: Any) -> None:
    with Directory(path).locked(locator):
        held.set()
        release.wait(30)


def update_and_say(module: SessionModule, session_id: str, done: threading.Event) -> None:
    module.sync.update(session_id, {"a": 2})
    done.set()


@pytest.mark.parametrize("other", ["thread", "process"])
def test_a_writer_waits_for_another(module: SessionModule, path: Path, other: str) -> None:
    session_id = module.sync.create("5", {"a": 1})
    place = codec.place_of(session_id)
    assert place is not None
    spawn = multiprocessing.get_context("spawn")
    kind: Any = threading.Thread if other == "thread" else spawn.Process
    held, release = (
        (threading.Event(), threading.Event())
        if other == "thread"
        else (spawn.Event(), spawn.Event())
    )
    holder = kind(target=hold_lock, args=(str(path), place.locator, held, release))
    holder.start()
    assert held.wait(30)
    done = threading.Event()
    writer = threading.Thread(target=update_and_say, args=(module, session_id, done), daemon=True)
    writer.start()
    assert not done.wait(0.2)
    assert module.sync.get(session_id) == {"a": 1}  # readers wait for nobody
    release.set()
    assert done.wait(30)
    holder.join()
    writer.join()
    assert module.sync.get(session_id) == {"a": 2}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_under_a_lock_keeps_nobody_waiting(
    module: SessionModule, path: Path
) -> None:
    """It holds the lock's descriptor too; unlocking is explicit, not left to close()."""
    module.sync.create("5", {})
    backend = module.backend
    assert isinstance(backend, JSONBackend)
    locator = next(iter(backend.tree.locators()))
    reader, writer = os.pipe()
    with backend.directory.locked(locator):
        pid = os.fork()
        if pid == 0:
            os.read(reader, 1)
            os._exit(0)
    try:
        module.sync.clear("5")  # would hang
    finally:
        os.write(writer, b"x")
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_lock_does_not_outlive_its_killed_holder_in_a_forked_child(
    module: SessionModule, path: Path
) -> None:
    """The child holds the lock's descriptor too, and it goes on living."""
    session_id = module.sync.create("5", {})
    backend = module.backend
    assert isinstance(backend, JSONBackend)
    locator = next(iter(backend.tree.locators()))
    reader, writer = os.pipe()
    holder = os.fork()
    if holder == 0:
        with backend.directory.locked(locator):
            if os.fork() == 0:
                os.close(writer)
                os.read(reader, 1)  # until the test ends
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(holder, 0)[1]) == -signal.SIGKILL
        locked = threading.Thread(target=module.sync.delete, args=(session_id,), daemon=True)
        locked.start()
        locked.join(10)
        assert not locked.is_alive()
    finally:
        os.close(writer)
        os.close(reader)


def test_a_document_that_never_expired_says_so(module: SessionModule, path: Path) -> None:
    module.sync.create("5", {})
    (file,) = documents(path)
    record = layout.loads(file.read_bytes())
    assert not expired(record, record.last_seen)
    assert module.backend.fetch(Place(file.parent.name, os.urandom(16))) is None
