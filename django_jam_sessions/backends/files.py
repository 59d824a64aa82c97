"""Files and directories of the JSON backend: each change to them is one atomic step.

Who changes a file holds its lock. With ``fsync`` a change is on the disk when its method returns:
a file's content before its name points to it, then the directories whose entries changed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

FILE_MODE, DIRECTORY_MODE = 0o600, 0o700
READ_SIZE = 65536  # bytes

# O_NONBLOCK: where a pipe is in the way, nobody waits for its writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SOMETHING_ELSE = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # a symlink, a directory, a socket


class Files:
    def __init__(self, *, fsync: bool) -> None:
        self._fsync = fsync

    def write(self, path: str, content: bytes) -> None:
        """Replace the file whole. Where that fails, the old one is there as it was."""
        temporary = path + ".tmp"
        descriptor = self._open(temporary)
        try:
            try:
                while content:
                    content = content[os.write(descriptor, content) :]
                if self._fsync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        self.sync(os.path.dirname(path))

    def _open(self, path: str) -> int:
        """A new file; what a killed writer left there goes, and so does a symlink."""
        try:
            return os.open(path, _WRITE, FILE_MODE)
        except FileNotFoundError:  # a locator's first session
            self.make(os.path.dirname(path))
        except FileExistsError:
            os.unlink(path)
        return os.open(path, _WRITE, FILE_MODE)

    def make(self, folder: str) -> None:
        """Make a locator's folder, and its shard."""
        for each in (os.path.dirname(folder), folder):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, DIRECTORY_MODE)
                self.sync(os.path.dirname(each))

    def remove(self, path: str) -> bool:
        """Whether there was such a file; its directory goes with its last one."""
        if not unlink(path):
            return False
        self._sync_what_is_left(os.path.dirname(path))
        return True

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, in another folder too; its own goes with its last file."""
        folders = os.path.dirname(source), os.path.dirname(target)
        try:
            os.rename(source, target)
        except FileNotFoundError:  # the target's folder
            self.make(folders[1])
            os.rename(source, target)
        self.sync(folders[1])
        if folders[0] != folders[1]:
            _drop(folders[0])
            self._sync_what_is_left(folders[0])

    def bury(self, folder: str, grave: str) -> None:
        """Take a folder away with all that is in it, by one rename; the caller removes it."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(grave), DIRECTORY_MODE)
        os.rename(folder, grave)
        self.sync(os.path.dirname(grave))
        self.sync(os.path.dirname(folder))

    def sync(self, directory: str | Path) -> None:
        if self._fsync:
            descriptor = os.open(directory, _DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _sync_what_is_left(self, folder: str) -> None:
        try:
            self.sync(folder)
        except FileNotFoundError:
            self.sync(os.path.dirname(folder))


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
        if error.errno in _SOMETHING_ELSE:
            return b""
        raise


def unlink(path: str) -> bool:
    """Files.remove() for what needs no fsync: it is dead, though a power loss brought it back."""
    try:
        os.unlink(path)
    except (FileNotFoundError, IsADirectoryError):
        return False
    _drop(os.path.dirname(path))
    return True


def _drop(folder: str) -> None:
    with contextlib.suppress(OSError):  # others are in it
        os.rmdir(folder)


def names(path: str | Path) -> list[str]:
    """What is in a directory, in order; nothing where there is none."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_allowed(path: str | Path, mode: int) -> bool:
    """os.access() for who this process is now; a process that began as root may be another."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
