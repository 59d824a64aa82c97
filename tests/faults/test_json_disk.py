"""The disk under the JSON backend: full, not to be read, not to be written, in disorder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_jam_sessions import SessionModule, SessionNotFoundError, SessionStoreUnavailable

ROOT = Path(__file__).parent.parent.parent
NOBODY = 65534


def run_full_disk(directory: Path, how: str, *before: str) -> Any:
    command = [*before, sys.executable, "-m", "tests.faults.full_disk", str(directory), how]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr


def test_a_file_that_can_grow_no_more_leaves_the_old_one(tmp_path: Path) -> None:
    """A disk that is full in the midst of a write; this needs no mount."""
    assert run_full_disk(tmp_path, "files") == {
        "create": "The session directory: File too large.",
        "create awaited": "The session directory: File too large.",
        "update": "The session directory: File too large.",
        "temporary files": 0,
        "read back": True,
        "count": True,
        "sessions": 5,
    }


def test_a_full_disk_is_a_typed_error_and_every_session_stays(tmp_path: Path) -> None:
    """A real one of 128 KiB, in a mount namespace of its own."""
    found = "no unshare"
    if unshare := shutil.which("unshare"):
        found = run_full_disk(tmp_path, "tmpfs", unshare, "--user", "--map-root-user", "--mount")
    if not isinstance(found, dict):
        pytest.skip("nothing can be mounted here: %s" % found)
    full = "The session directory: No space left on device."
    assert found.pop("sessions") > 10
    assert found == {
        "create": full,
        "create awaited": full,
        "update": full,
        "rework": full,
        "create in a new place": full,
        "temporary files": 0,
        "read back": True,
        "count": True,
        "room again": True,
    }


# Permissions


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root ignores permissions: be somebody else. Who is not root already is."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def path() -> Iterator[Path]:
    """A directory of nobody's, in a place that nobody can reach."""
    directory = Path(tempfile.mkdtemp(prefix="jam-"))
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    yield directory / "sessions"
    for each in [directory, *directory.rglob("*")]:
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o700)
    shutil.rmtree(directory)


@pytest.fixture
def module(path: Path, tmp_path: Path) -> Iterator[SessionModule]:
    """A module in use by somebody whom permissions bind."""
    # What is imported late is imported now: nobody may be unable to read it.
    SessionModule("json", json_path=tmp_path / "warm").sync.create("warm", {})
    module = SessionModule("json", json_path=path)
    with as_nobody():
        module.backend.purge()  # so that the directory is there
        yield module


def file_of(path: Path, module: SessionModule, key: str) -> tuple[str, Path]:
    before = set(path.rglob("*.json"))
    session_id = module.sync.create(key, {"key": key})
    (file,) = set(path.rglob("*.json")) - before
    return session_id, file


def test_an_unreadable_document_is_a_typed_error_and_hides_no_other(
    module: SessionModule, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be readable again: its client is not signed out."""
    shut, file = file_of(path, module, "5")
    other, _ = file_of(path, module, "5")
    file.chmod(0)
    for method, *arguments in (("get", shut, None), ("update", shut, {}), ("delete", shut)):
        with pytest.raises(SessionStoreUnavailable, match="Permission denied"):
            getattr(module.sync, method)(*arguments)
    assert len(module.sync.list("5")) == module.sync.count("5") == 1
    assert [info.count for info in module.sync.keys(100)] == [1]
    assert module.sync.purge() == 0
    assert "can't be read: Permission denied" in caplog.text
    assert shut not in caplog.text
    assert module.sync.get(other) == {"key": "5"}
    file.chmod(0o600)
    assert module.sync.get(shut) == {"key": "5"}
    file.chmod(0)
    module.sync.clear("5")
    assert module.sync.get(shut, None) is None


@pytest.mark.parametrize("levels", [1, 2], ids=["a key's", "a shard's"])
def test_an_unreadable_folder_is_its_keys_alone(
    module: SessionModule, path: Path, levels: int, caplog: pytest.LogCaptureFixture
) -> None:
    shut, file = file_of(path, module, "5")
    other, _ = file_of(path, module, "6")
    folder = file.parents[levels - 1]
    folder.chmod(0)
    for method, *arguments in (("get", shut, None), ("list", "5"), ("clear", "5")):
        with pytest.raises(SessionStoreUnavailable, match="Permission denied"):
            getattr(module.sync, method)(*arguments)
    assert [info.session_key for info in module.sync.keys(100)] == ["6"]
    module.sync.purge()
    assert folder.name in caplog.text
    assert module.sync.get(other) == {"key": "6"}
    folder.chmod(0o700)
    assert module.sync.get(shut) == {"key": "5"}


def test_a_read_only_folder_refuses_writes_and_goes_on_reading(
    module: SessionModule, path: Path, clock: Any
) -> None:
    kept, file = file_of(path, module, "5")
    SessionModule("json", json_path=path, session_ttl=10).sync.create("5", {})
    other, _ = file_of(path, module, "6")
    file.parent.chmod(0o500)
    clock(11)
    for method, *arguments in (
        ("update", kept, {}),
        ("delete", kept),
        ("rework", kept),
        ("create", "5", {}),
    ):
        with pytest.raises(SessionStoreUnavailable, match="Permission denied"):
            getattr(module.sync, method)(*arguments)
    assert module.sync.get(kept) == {"key": "5"}
    assert len(module.sync.list("5")) == 1
    module.sync.purge()
    module.sync.update(other, {"a": 1})
    assert module.sync.get(other) == {"a": 1}
    file.parent.chmod(0o700)
    assert module.sync.get(kept) == {"key": "5"}


def test_a_read_only_directory_is_a_typed_error(module: SessionModule, path: Path) -> None:
    kept, _ = file_of(path, module, "5")
    for each in (path, *path.iterdir()):
        each.chmod(0o500 if each.is_dir() else 0o400)
    (path / "trash").chmod(0o500)
    with pytest.raises(SessionStoreUnavailable, match="Permission denied"):
        module.sync.clear("5")
    with pytest.raises(SessionStoreUnavailable, match="not writable"):
        SessionModule("json", json_path=path).sync.get(kept)
    assert module.sync.get(kept) == {"key": "5"}
    path.chmod(0o700)


def test_nobody_works_in_anothers_directory(path: Path) -> None:
    """Not even root, for what it wrote its owner could not change."""
    if os.geteuid() != 0:
        pytest.skip("only root could")
    with as_nobody():
        kept = SessionModule("json", json_path=path).sync.create("5", {"a": 1})
    before = sorted(path.rglob("*"))
    module = SessionModule("json", json_path=path)
    for method, *arguments in (
        ("get", kept),
        ("create", "5", {}),
        ("clear", "5"),
        ("keys",),
        ("purge",),
    ):
        with pytest.raises(SessionStoreUnavailable, match="belongs to another user"):
            getattr(module.sync, method)(*arguments)
    assert sorted(path.rglob("*")) == before


# What else may lie there


def make_symlink(path: Path) -> None:
    path.with_name("elsewhere").write_text("a letter")
    path.symlink_to("elsewhere")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


IN_THE_WAY: dict[str, Callable[[Path], object]] = {
    "symlink": make_symlink,
    "broken symlink": lambda path: path.symlink_to("nowhere"),
    "directory": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "socket": make_socket,
    "file": lambda path: path.write_bytes(b"half a docu"),
}


@pytest.mark.parametrize("thing", IN_THE_WAY)
def test_what_is_in_the_way_of_a_document_is_one_dead_session(
    module: SessionModule, path: Path, thing: str
) -> None:
    dead, file = file_of(path, module, "5")
    other, _ = file_of(path, module, "5")
    file.unlink()
    IN_THE_WAY[thing](file)
    assert module.sync.get(dead, None) is None
    with pytest.raises(SessionNotFoundError):
        module.sync.update(dead, {})
    assert len(module.sync.list("5")) == module.sync.count("5") == 1
    module.sync.purge()
    module.sync.clear_others(other)
    assert module.sync.get(other) == {"key": "5"}
    module.sync.clear("5")
    assert module.sync.get(other, None) is None


@pytest.mark.parametrize("thing", IN_THE_WAY)
def test_what_is_in_the_way_of_a_temporary_file_goes(
    module: SessionModule, path: Path, thing: str
) -> None:
    """Nothing is written through a symlink, and nobody waits for a pipe."""
    session_id, file = file_of(path, module, "5")
    stale = file.with_name(file.name + ".tmp")
    IN_THE_WAY[thing](stale)
    if thing == "directory":  # is what nobody but a person makes: it stays
        with pytest.raises(SessionStoreUnavailable):
            module.sync.update(session_id, {"a": 1})
        stale.rmdir()
    module.sync.update(session_id, {"a": 1})
    assert module.sync.get(session_id) == {"a": 1}
    if thing == "symlink":
        assert stale.with_name("elsewhere").read_text() == "a letter"
    IN_THE_WAY[thing](stale) if thing != "symlink" else stale.symlink_to("elsewhere")
    module.sync.purge()
    assert stale.is_dir() is (thing == "directory")
    assert module.sync.get(session_id) == {"a": 1}


@pytest.mark.parametrize("thing", ["symlink", "directory", "socket"])
def test_what_is_in_the_way_of_a_lock_is_a_typed_error(
    module: SessionModule, path: Path, thing: str
) -> None:
    session_id, _ = file_of(path, module, "5")
    for lock in (path / "locks").iterdir():
        lock.unlink()
        (path / "locks" / "elsewhere").unlink(missing_ok=True)
        IN_THE_WAY[thing](lock)
    with pytest.raises(SessionStoreUnavailable):
        module.sync.update(session_id, {})
    assert module.sync.get(session_id) == {"key": "5"}


def test_what_is_in_the_way_of_a_folder_is_its_keys_alone(
    module: SessionModule, path: Path
) -> None:
    _, file = file_of(path, module, "5")
    other, _ = file_of(path, module, "6")
    module.sync.clear("5")
    file.parent.write_text("not a folder")
    with pytest.raises(SessionStoreUnavailable, match="Not a directory"):
        module.sync.create("5", {})
    assert module.sync.list("5") == []
    assert [info.session_key for info in module.sync.keys(100)] == ["6"]
    module.sync.purge()
    assert module.sync.get(other) == {"key": "6"}
