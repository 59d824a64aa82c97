"""The embedded backend: a directory of JSON documents, one per session. One host, a local disk.

``<json_path>/<two characters>/<locator>/<field>.json``. Readers take no lock: a document is
replaced whole. Writers of a locator take one of 256 lock files that are made once and never
removed, so that no lock can vanish under somebody who waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import shutil
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from django.core.files import locks

from .. import codec
from ..codec import Change, Place, Record
from ..exceptions import SessionStoreUnavailable
from . import base
from .base import SAMPLE, Backend, Found, Listing, Outcome, Scan
from .documents import from_document, to_document

logger = logging.getLogger(__name__)

LOCKS = 256
MARKER = "locks"  # what makes a directory ours
TRASH = "trash"
SWEEP = 100  # expired documents that one list() removes
SCAN_DIRECTORIES = 1000  # that one scan() looks at
FILE_MODE, DIRECTORY_MODE = 0o600, 0o700


class JSONBackend(Backend):
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._ready = False

    # The contract

    def insert(self, place: Place, record: Record, ttl: int | None) -> bool:
        with self._locked(place.locator):
            stored = self._read(place)
            if stored is not None:
                return stored.version == record.version
            self._write(place, base.stamped(record, ttl, self.now()))
            return True

    def fetch(self, place: Place) -> Record | None:
        self._prepare()
        with _typed_errors():
            return self._live(place)

    def replace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        with self._locked(place.locator):
            stored = self._live(place)
            answer = base.refused(stored, change.version, expected, change.secret_id)
            if answer is not None or stored is None:
                return answer or False
            self._write(place, base.changed(stored, change, ttl, self.now()))
            return True

    def touch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        with self._locked(place.locator):
            stored = self._live(place)
            answer = base.refused(stored, None, expected)
            if answer is not None or stored is None:
                return answer or False
            seen = base.stamped(stored, ttl, self.now())
            self._write(place, seen if meta is None else seen._replace(meta=meta))
            return True

    def move(
        self,
        source: Place,
        target: Place,
        record: Record | bytes,
        expected: bytes | None,
        ttl: int | None,
    ) -> Outcome:
        version = record if isinstance(record, bytes) else record.version
        with self._locked(source.locator, target.locator):
            there = self._read(target)
            if there is not None and there.version == version:
                return True
            stored = self._live(source)
            answer = base.refused(stored, version, expected, base.carried(record))
            if answer is not None or stored is None:
                return answer or False
            if isinstance(record, bytes):
                moved = stored._replace(version=record)
            else:
                moved = base.stamped(record, ttl, self.now())
            self._write(target, moved)
            self._remove(source)
            return True

    def remove(self, place: Place) -> bool:
        with self._locked(place.locator):
            return self._live(place) is not None and self._remove(place)

    def remove_all(self, locator: str, keep: bytes | None = None) -> bool:
        if keep is not None:
            return self._remove_others(Place(locator, keep))
        grave = self.path / TRASH / secrets.token_hex(16)
        with self._locked(locator):
            held = any(True for _ in self._fields(locator))
            if held:
                grave.parent.mkdir(DIRECTORY_MODE, exist_ok=True)
                # One rename ends them all; the removal after it takes no lock.
                os.rename(self._directory(locator), grave)
        shutil.rmtree(grave, ignore_errors=True)  # what is left, purge() removes
        return held

    def list(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        self._prepare()
        found, swept, now = [], 0, self.now()
        with _typed_errors():
            for field in self._fields(locator, after=cursor):
                record = self._skim(place := Place(locator, field))
                if record is not None and base.expired(record, now):
                    if swept < SWEEP:
                        swept += self._sweep(place)
                elif record is not None:
                    found.append((field, record._replace(body=b"")))
                    if len(found) == limit:
                        return found, codec.field_text(field)
        return found, None

    def count(self, locator: str) -> int:
        self._prepare()
        with _typed_errors():
            places = (Place(locator, field) for field in self._fields(locator))
            now = self.now()
            return sum(base.live(self._skim(place), place, now) is not None for place in places)

    def scan(self, limit: int, cursor: str | None = None) -> Scan:
        self._prepare()
        found: list[Found] = []
        with _typed_errors():
            for looked, locator in enumerate(self._locators(after=cursor or "")):
                if len(found) == limit or looked == SCAN_DIRECTORIES:
                    return found, cursor
                page, more = self.list(locator, SAMPLE)
                if page:
                    count = self.count(locator) if more else len(page)
                    found.append(Found(locator, count, page))
                cursor = locator
        return found, None

    def purge(self) -> int:
        self._prepare()
        removed, now = 0, self.now()
        with _typed_errors():
            for grave in _names(self.path / TRASH):
                # Left by a process that died between the rename and the removal.
                shutil.rmtree(self.path / TRASH / grave, ignore_errors=True)
            for locator in self._locators():
                for field in self._fields(locator):
                    record = self._skim(place := Place(locator, field))
                    if record is not None and base.expired(record, now):
                        removed += self._sweep(place)
                with self._locked(locator):
                    self._remove_temporary(locator)
        return removed

    # Files

    def _directory(self, locator: str) -> Path:
        return self.path / locator[:2] / locator

    def _file(self, place: Place) -> Path:
        return self._directory(place.locator) / (codec.field_text(place.field) + ".json")

    def _live(self, place: Place) -> Record | None:
        return base.live(self._read(place), place, self.now())

    def _read(self, place: Place) -> Record | None:
        try:
            descriptor = os.open(self._file(place), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR):  # neither is a file of ours
                raise
            content = b""
        try:
            return from_document(json.loads(content.decode(errors="surrogatepass")))
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            handle = codec.handle_of(place.locator, place.field)
            logger.warning("Session %s is torn or was edited by hand; it is unusable.", handle)
            return None

    def _skim(self, place: Place) -> Record | None:
        """The record, None where this release can't read it: one does not hide the others."""
        try:
            return self._read(place)
        except codec.UnknownFormatError:
            return None

    def _write(self, place: Place, record: Record) -> None:
        text = json.dumps(to_document(record), indent=1, ensure_ascii=False)
        document = text.encode(errors="surrogatepass")  # a str may hold lone ones
        path = self._file(place)
        temporary = path.with_name(path.name + ".tmp")  # one writer: the lock is ours
        with contextlib.suppress(FileExistsError):
            path.parent.parent.mkdir(DIRECTORY_MODE)
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(DIRECTORY_MODE)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, FILE_MODE), "wb") as file:
                file.write(document)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _remove(self, place: Place) -> bool:
        path = self._file(place)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        with contextlib.suppress(OSError):  # others are in it
            path.parent.rmdir()
        return True

    def _sweep(self, place: Place) -> bool:
        with self._locked(place.locator):
            record = self._skim(place)
            return record is not None and base.expired(record, self.now()) and self._remove(place)

    def _remove_others(self, kept: Place) -> bool:
        with self._locked(kept.locator):
            if self._live(kept) is None:
                return False
            for field in self._fields(kept.locator):
                if field != kept.field:
                    self._remove(Place(kept.locator, field))
            return True

    def _remove_temporary(self, locator: str) -> None:
        """Remove what a killed writer left; the caller holds the lock, so nobody writes it now."""
        directory = self._directory(locator)
        with contextlib.suppress(FileNotFoundError):
            for name in _names(directory):
                if name.endswith(".tmp"):
                    (directory / name).unlink()
            with contextlib.suppress(OSError):
                directory.rmdir()

    def _fields(self, locator: str, after: str | None = None) -> Iterator[bytes]:
        for name in _names(self._directory(locator)):
            stem, _, ending = name.partition(".")
            field = codec.field_of(stem) if ending == "json" else None
            if field is not None and (after is None or stem > after):
                yield field

    def _locators(self, after: str = "") -> Iterator[str]:
        for shard in _names(self.path):
            if len(shard) == 2 and shard >= after[:2]:
                for name in _names(self.path / shard):
                    if codec.is_locator(name) and name > after:
                        yield name

    # The directory and its locks

    @contextlib.contextmanager
    def _locked(self, *locators: str) -> Iterator[None]:
        """Hold the locks of ``locators``, taken in one order by everybody."""
        self._prepare()
        numbers = sorted({zlib.crc32(locator.encode()) % LOCKS for locator in locators})
        with _typed_errors(), contextlib.ExitStack() as stack:
            for number in numbers:
                # A descriptor of its own, so that threads exclude each other too.
                descriptor = self._open_lock(number)
                stack.callback(os.close, descriptor)
                if not locks.lock(descriptor, locks.LOCK_EX):
                    raise SessionStoreUnavailable("The directory of json_path can't be locked.")
                # Not left to close(): a child forked meanwhile holds the descriptor as well.
                stack.callback(locks.unlock, descriptor)
            yield

    def _lock_file(self, number: int) -> Path:
        return self.path / MARKER / ("%02x" % number)

    def _open_lock(self, number: int) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            return os.open(self._lock_file(number), flags)
        except FileNotFoundError:  # somebody removed the directory: every session ended
            self._create()
            return os.open(self._lock_file(number), flags)

    def _prepare(self) -> None:
        if not self._ready:
            with _typed_errors():
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


@contextlib.contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Without the file's name: a locator is nobody else's business.
        raise SessionStoreUnavailable("The session directory: %s." % error.strerror) from error


def _names(directory: Path) -> list[str]:
    """What is in ``directory``, in order; nothing where it is not there."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
