"""The embedded backend: a directory of JSON documents, one per session. One host, a local disk."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
from collections.abc import Sequence

from .. import codec
from ..codec import Change, Place, Record
from . import base, documents, files
from .base import (
    SAMPLE,
    Backend,
    Found,
    Inserted,
    Leaving,
    Limit,
    Listing,
    Outcome,
    Purged,
    Scan,
)
from .directory import TRASH, Directory, typed_errors
from .files import names
from .tree import Tree

logger = logging.getLogger(__name__)

_UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO)
SWEEP = 100  # expired documents that one list() removes
SCAN_DIRECTORIES = 1000  # that one scan(), or purge(), looks at


class JSONBackend(Backend):
    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self.directory = Directory(path, fsync=fsync)
        self.files = self.directory.files
        self.path = self.directory.path
        self.tree = Tree(self.path)

    # The contract

    def insert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None = None
    ) -> Inserted:
        with self.directory.locked(place.locator):
            stored = self._read(place)
            if stored is not None:
                return stored.version == record.version
            leaving = self._leaving(place.locator, limit)
            if leaving is not None:
                self._write(place, base.stamped(record, ttl, self.now()))
            return self._left(place.locator, leaving)

    def fetch(self, place: Place) -> Record | None:
        self.directory.prepare()
        with typed_errors:
            return self._live(place)

    def replace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        with self.directory.locked(place.locator):
            stored = self._live(place)
            answer = base.refused(stored, change.version, expected, change.secret_id)
            if answer is not None or stored is None:
                return answer or False
            self._write(place, base.changed(stored, change, ttl, self.now()))
            return True

    def touch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        with self.directory.locked(place.locator):
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
        limit: Limit | None = None,
    ) -> Inserted | Record:
        version = record if isinstance(record, bytes) else record.version
        with self.directory.locked(source.locator, target.locator):
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
            leaving = self._leaving(target.locator, limit)
            if leaving is not None:
                self._move(source, stored, target, moved)
            return self._left(target.locator, leaving)

    def remove(self, place: Place) -> bool:
        with self.directory.locked(place.locator):
            return self._live(place) is not None and self._remove(place)

    def remove_all(self, locator: str, keep: bytes | None = None) -> bool:
        if keep is not None:
            return self._remove_others(Place(locator, keep))
        grave = self.path / TRASH / secrets.token_hex(16)
        with self.directory.locked(locator):
            held = any(True for _ in self.tree.fields(locator))
            if held:
                # One rename ends them all; the removal after it takes no lock.
                self.files.bury(self.tree.folder(locator), str(grave))
        shutil.rmtree(grave, ignore_errors=True)  # what is left, purge() removes
        return held

    def list(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        found, swept = [], 0
        # Without the lock, who gets a new id meanwhile would be missing, or there twice.
        with self.directory.locked(locator):
            now = self.now()
            for field in self.tree.fields(locator, after=cursor):
                record = self._skim(place := Place(locator, field))
                if record is not None and base.expired(record, now):
                    if swept < SWEEP:
                        with contextlib.suppress(OSError):  # it is dead anyway
                            swept += self._remove(place)
                elif record is not None:
                    found.append((field, record._replace(body=b"")))
                    if len(found) == limit:
                        return found, field.hex()
        return found, None

    def count(self, locator: str) -> int:
        with self.directory.locked(locator):
            places = (Place(locator, field) for field in self.tree.fields(locator))
            now = self.now()
            return sum(base.live(self._skim(place), place, now) is not None for place in places)

    def scan(self, limit: int, cursor: str | None = None) -> Scan:
        self.directory.prepare()
        found: list[Found] = []
        with typed_errors:
            for looked, locator in enumerate(self.tree.locators(after=cursor or "")):
                if len(found) == limit or looked == SCAN_DIRECTORIES:
                    return found, cursor
                page, more = self.list(locator, SAMPLE)
                if page:
                    count = self.count(locator) if more else len(page)
                    found.append(Found(locator, count, page))
                cursor = locator
        return found, None

    def purge(self, cursor: str | None = None) -> Purged:
        self.directory.prepare()
        removed: list[tuple[Place, Record]] = []
        now = self.now()
        with typed_errors:
            for grave in names(self.path / TRASH):
                # Left by a process that died between the rename and the removal.
                shutil.rmtree(self.path / TRASH / grave, ignore_errors=True)
            for looked, locator in enumerate(self.tree.locators(after=cursor or "")):
                if looked == SCAN_DIRECTORIES:
                    return removed, cursor
                for field in self.tree.fields(locator):
                    record = self._skim(place := Place(locator, field))
                    if record is not None and base.expired(record, now) and self._sweep(place):
                        removed.append((place, record._replace(body=b"")))
                with self.directory.locked(locator):
                    self.tree.tidy(locator)
                cursor = locator
        return removed, None

    # Documents

    def _live(self, place: Place) -> Record | None:
        return base.live(self._read(place), place, self.now())

    def _read(self, place: Place) -> Record | None:
        content = files.read(self.tree.file(place))
        if content is None:
            return None
        try:
            return documents.loads(content, place)
        except documents.ERRORS:
            handle = codec.handle_of(place.locator, place.field)
            logger.warning("Session %s is torn or was edited by hand; it is unusable.", handle)
            return None

    def _skim(self, place: Place) -> Record | None:
        """The record, None where it can't be read now: one does not hide the others."""
        try:
            return self._read(place)
        except codec.UnknownFormatError:
            return None
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            handle = codec.handle_of(place.locator, place.field)
            logger.warning("Session %s can't be read: %s.", handle, error.strerror)
            return None

    def _write(self, place: Place, record: Record) -> None:
        self.files.write(self.tree.file(place), documents.dumps(record))

    def _move(self, source: Place, stored: Record, target: Place, moved: Record) -> None:
        document = documents.dumps_moving(stored, target, moved)
        self.files.write(self.tree.file(source), document)
        self.files.rename(self.tree.file(source), self.tree.file(target))
        with contextlib.suppress(OSError):  # moved it is; the document still holds the old record
            self._write(target, moved)

    def _remove(self, place: Place) -> bool:
        return self.files.remove(self.tree.file(place))

    def _leaving(self, locator: str, limit: Limit | None) -> Leaving:
        """What base.leaving() says; the caller holds the lock."""
        if limit is None:
            return []
        now = self.now()
        held: Sequence[tuple[bytes, Record]] = [
            (field, record)
            for field in self.tree.fields(locator)
            if (record := self._skim(Place(locator, field))) and not base.expired(record, now)
        ]
        return base.leaving(held, limit)

    def _left(self, locator: str, leaving: Leaving) -> Inserted:
        for field in leaving or ():
            self._remove(Place(locator, field))
        return True if leaving == [] else leaving

    def _sweep(self, place: Place) -> bool:
        with self.directory.locked(place.locator):
            record = self._skim(place)
            if record is None or not base.expired(record, self.now()):
                return False
            with contextlib.suppress(PermissionError):  # of its folder; the others' may be removed
                return files.unlink(self.tree.file(place))
            return False

    def _remove_others(self, kept: Place) -> bool:
        with self.directory.locked(kept.locator):
            if self._live(kept) is None:
                return False
            for field in self.tree.fields(kept.locator):
                if field != kept.field:
                    self._remove(Place(kept.locator, field))
            return True
