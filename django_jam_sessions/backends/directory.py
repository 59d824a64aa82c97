"""The JSON backend's directory: whether it can be used, its locks, and its files as bytes.

Readers take no lock: a file is replaced whole. Writers of a locator take one of 256 lock files that
are made once and never removed, so that no lock can vanish under somebody who waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from django.core.files import locks

from ..exceptions import SessionStoreUnavailable

LOCKS = 256
MARKER = "locks"  # what makes a directory ours
TRASH = "trash"
FILE_MODE, DIRECTORY_MODE = 0o600, 0o700
READ_SIZE = 65536  # bytes

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Directory:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
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
        self.path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        for name in (MARKER, TRASH):  # the marker first: a start may be cut off anywhere
            (self.path / name).mkdir(DIRECTORY_MODE, exist_ok=True)
        for number in range(LOCKS):
            os.close(os.open(self._lock_file(number), os.O_RDWR | os.O_CREAT, FILE_MODE))
        # The sessions are no part of anybody's project.
        (self.path / ".gitignore").write_text("*\n")

    def locked(self, *names: str) -> Locked:
        """A context that holds the locks of ``names``, taken in one order by everybody."""
        self.prepare()
        return Locked(self, sorted({zlib.crc32(name.encode()) % LOCKS for name in names}))

    def open_lock(self, number: int) -> int:
        """A descriptor of its own, so that threads exclude each other too."""
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            return os.open(self._lock_file(number), flags)
        except FileNotFoundError:  # somebody removed the directory: every session ended
            self._create()
            return os.open(self._lock_file(number), flags)

    def _lock_file(self, number: int) -> str:
        return "%s/%s/%02x" % (self.path, MARKER, number)


class Locked:
    def __init__(self, directory: Directory, numbers: Iterable[int]) -> None:
        self._directory = directory
        self._numbers = numbers
        self._held: list[int] = []

    def __enter__(self) -> None:
        try:
            for number in self._numbers:
                self._held.append(self._directory.open_lock(number))
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

    def _release(self) -> None:
        for descriptor in reversed(self._held):
            # Not left to close(): a child forked meanwhile holds the descriptor as well.
            locks.unlock(descriptor)
            os.close(descriptor)
        self._held.clear()


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


def read(path: str) -> bytes | None:
    """The content; None where there is no file, b"" where something else is in its place."""
    try:
        descriptor = os.open(path, _READ)
        try:
            content = os.read(descriptor, READ_SIZE)
            if len(content) == READ_SIZE:
                while more := os.read(descriptor, 16 * READ_SIZE):
                    content += more
            return content
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            return b""
        raise


def write(path: str, content: bytes) -> None:
    """Replace the file whole. There is one writer: the caller holds its lock."""
    temporary = path + ".tmp"
    try:
        descriptor = _open(temporary)
        try:
            while content:
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _open(path: str) -> int:
    try:
        return os.open(path, _WRITE, FILE_MODE)
    except FileNotFoundError:  # a locator's first session
        directory = os.path.dirname(path)
        for each in (os.path.dirname(directory), directory):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, DIRECTORY_MODE)
        return os.open(path, _WRITE, FILE_MODE)


def remove(path: str) -> bool:
    """Whether there was such a file; its directory goes with its last one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    with contextlib.suppress(OSError):  # others are in it
        os.rmdir(os.path.dirname(path))
    return True


def names(path: str | Path) -> list[str]:
    """What is in a directory, in order; nothing where it is not there."""
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def directory_problem(path: Path) -> str | None:
    """Why sessions can't be kept in ``path``; None where they can, or where it can be made."""
    try:
        if os.path.lexists(path):
            return _existing_problem(path)
        parent = next(parent for parent in path.parents if parent.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
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
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return "json_path %s is not writable." % path
    if not (path / MARKER).is_dir() and any(path.iterdir()):
        return "json_path %s holds other files; name a directory of its own." % path
    return None
