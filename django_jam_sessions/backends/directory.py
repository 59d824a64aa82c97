"""The JSON backend's directory: whether it can be used, and its locks.

Readers take no lock: a file is replaced whole. Writers of a locator take one of 256 lock files that
are made once and never removed, so that no lock can vanish under somebody who waits for it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import zlib
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from types import TracebackType
from weakref import WeakValueDictionary

from django.core.exceptions import ImproperlyConfigured
from django.core.files import locks

from ..exceptions import SessionStoreUnavailable
from .files import DIRECTORY_MODE, FILE_MODE, Files, is_allowed

LOCKS = 256
MARKER = "locks"  # what makes a directory ours
TRASH = "trash"
_LOCK = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_ONCE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Directory:
    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        if not isinstance(path, (str, os.PathLike)) or "\0" in str(path):
            raise ImproperlyConfigured("json_path must be the path of a directory.")
        self.path = Path(path).absolute()
        self.files = Files(fsync=fsync)
        self._ready = False

    def prepare(self) -> None:
        """Raises SessionStoreUnavailable where sessions can't be kept here."""
        if not self._ready:
            with typed_errors:
                if problem := directory_problem(self.path):
                    raise SessionStoreUnavailable(problem)
                self._create()
            self._ready = True

    def _create(self) -> None:
        missing = [each for each in (self.path, *self.path.parents) if not each.exists()]
        self.path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        for name in (MARKER, TRASH):  # the marker first: a start may be cut off anywhere
            (self.path / name).mkdir(DIRECTORY_MODE, exist_ok=True)
        for number in range(LOCKS):
            os.close(os.open(self._lock_file(number), _LOCK | os.O_CREAT, FILE_MODE))
        self._ignore()
        for directory in (self.path / MARKER, self.path, *(each.parent for each in missing)):
            self.files.sync(directory)

    def _ignore(self) -> None:
        """The sessions are no part of anybody's project. Once: a start needs no room on a disk."""
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(self.path / ".gitignore", _ONCE)
            try:
                os.write(descriptor, b"*\n")
            except OSError:
                os.unlink(self.path / ".gitignore")
                raise
            finally:
                os.close(descriptor)

    def locked(self, *names: str) -> Locked:
        """A context that holds the locks of ``names``, taken in one order by everybody."""
        self.prepare()
        return Locked(self, sorted({zlib.crc32(name.encode()) % LOCKS for name in names}))

    def open_lock(self, number: int) -> FileIO:
        """A descriptor of its own, so that threads exclude each other too."""
        try:
            return FileIO(os.open(self._lock_file(number), _LOCK), "r+")
        except FileNotFoundError:  # somebody removed the directory: every session ended
            self._create()
            return FileIO(os.open(self._lock_file(number), _LOCK), "r+")

    def _lock_file(self, number: int) -> str:
        return "%s/%s/%02x" % (self.path, MARKER, number)


class Locked:
    """Lets go when it is left, or is gone: a signal's handler may raise anywhere between."""

    def __init__(self, directory: Directory, numbers: Iterable[int]) -> None:
        self._held: list[FileIO] = []
        self._directory = directory
        self._keys = [(threading.get_ident(), directory.path, number) for number in numbers]

    def __enter__(self) -> None:
        try:
            for key in self._keys:
                if key in _holders:  # who was interrupted, and whose error is being handled
                    raise SessionStoreUnavailable("This thread holds the lock already.")
                _holders[key] = self
                self._held.append(self._directory.open_lock(key[2]))
                if not locks.lock(self._held[-1], locks.LOCK_EX):
                    raise SessionStoreUnavailable("The directory of json_path can't be locked.")
        except BaseException as error:
            self._release()
            typed_errors.__exit__(type(error), error, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()
        typed_errors.__exit__(kind, error, traceback)

    def __del__(self) -> None:
        if hasattr(self, "_keys"):
            self._release()

    def _release(self) -> None:
        for file in reversed(self._held):
            if not file.closed:
                # Not left to close(): a child forked meanwhile holds the descriptor as well.
                locks.unlock(file)
                file.close()
        self._held.clear()
        for key in self._keys:
            if _holders.get(key) is self:
                del _holders[key]

    def forget(self) -> None:
        """Let go of what a parent locked, and leave it locked."""
        while self._held:
            self._held.pop().close()


_holders: WeakValueDictionary[tuple[int, Path, int], Locked] = WeakValueDictionary()
"""By thread, directory and number of the lock."""


def _forget_the_parents_locks() -> None:
    """Else a lock outlives a parent that is killed, for as long as the forked child lives."""
    for locked in _holders.values():
        locked.forget()
    _holders.clear()


os.register_at_fork(after_in_child=_forget_the_parents_locks)


class _TypedErrors:
    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            # Without the file's name: a locator is nobody else's business.
            message = "The session directory: %s." % error.strerror
            raise SessionStoreUnavailable(message) from error


typed_errors = _TypedErrors()
"""A context in which an OSError becomes SessionStoreUnavailable."""


def directory_problem(path: Path) -> str | None:
    """Why sessions can't be kept in ``path``; None where they can, or where it can be made."""
    try:
        if os.path.lexists(path):
            return _existing_problem(path)
        parent = next(parent for parent in path.parents if parent.exists())
        if not parent.is_dir() or not is_allowed(parent, os.W_OK | os.X_OK):
            return "json_path %s can't be created: %s is not writable." % (path, parent)
    except OSError as error:
        return "json_path %s can't be used: %s." % (path, error.strerror)
    return None


def _existing_problem(path: Path) -> str | None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "json_path %s is not a directory." % path
    if found.st_uid != os.geteuid():
        return "json_path %s belongs to another user (uid %d)." % (path, found.st_uid)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "json_path %s can be written by other users; remove that permission." % path
    if not is_allowed(path, os.R_OK | os.W_OK | os.X_OK):
        return "json_path %s is not writable." % path
    # In this order: others may be making the directory just now, and begin with the marker.
    if any(path.iterdir()) and not (path / MARKER).is_dir():
        return "json_path %s holds other files; name a directory of its own." % path
    return None
