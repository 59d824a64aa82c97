"""A worked custom backend: records in one SQLite table.

Only this is asked of a backend: the contract's methods. Ids, hashing, encryption, rotation and
merging are not its concern. It blocks, so it inherits the awaited twins, which use a thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from django_jam_sessions import SessionStoreUnavailable, codec
from django_jam_sessions.backends import base
from django_jam_sessions.backends.base import (
    SAMPLE,
    Backend,
    Found,
    Inserted,
    Limit,
    Listing,
    Outcome,
    Purged,
    Scan,
)
from django_jam_sessions.codec import Change, Place, Record

BUSY_SECONDS = 30.0
READ = "BEGIN"
PURGE_ROWS = 1000  # that one purge() removes
EXPIRED = "((expires > 0 AND expires <= :now) OR (absolute > 0 AND absolute <= :now))"
HERE = "locator = :locator AND field = :field"


class SQLiteBackend(Backend):
    def __init__(self, sqlite_path: str) -> None:
        self.path = sqlite_path
        self._has_table = False

    def insert(
        self, place: Place, record: Record, ttl: int | None, limit: Limit | None = None
    ) -> Inserted:
        with self._transaction() as cursor:
            stored = self._stored(cursor, place)
            if stored is not None:
                return stored.version == record.version
            room = self._make_room(cursor, place.locator, limit)
            if room is not None:
                self._write(cursor, place, base.stamped(record, ttl, self.now()))
            return room

    def fetch(self, place: Place) -> Record | None:
        with self._transaction(READ) as cursor:
            return self._live(cursor, place)

    def replace(
        self, place: Place, change: Change, expected: bytes | None, ttl: int | None
    ) -> Outcome:
        with self._transaction() as cursor:
            stored = self._live(cursor, place)
            answer = base.refused(stored, change.version, expected, change.secret_id)
            if stored is None or answer is not None:
                return answer or False
            self._write(cursor, place, base.changed(stored, change, ttl, self.now()))
            return True

    def touch(
        self, place: Place, expected: bytes | None, ttl: int | None, meta: bytes | None = None
    ) -> Outcome:
        with self._transaction() as cursor:
            stored = self._live(cursor, place)
            answer = base.refused(stored, None, expected)
            if stored is None or answer is not None:
                return answer or False
            seen = base.stamped(stored, ttl, self.now())
            self._write(cursor, place, seen if meta is None else seen._replace(meta=meta))
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
        with self._transaction() as cursor:
            there = self._stored(cursor, target)
            if there is not None and there.version == version:
                return True
            stored = self._live(cursor, source)
            answer = base.refused(stored, version, expected, base.carried(record))
            if stored is None or answer is not None:
                return answer or False
            if isinstance(record, bytes):
                moved = stored._replace(version=record)
            else:
                moved = base.stamped(record, ttl, self.now())
            room = self._make_room(cursor, target.locator, limit)
            if room is not None:
                self._write(cursor, target, moved)
                self._delete(cursor, source)
            return room

    def remove(self, place: Place) -> bool:
        with self._transaction() as cursor:
            return self._live(cursor, place) is not None and self._delete(cursor, place)

    def remove_all(self, locator: str, keep: bytes | None = None) -> bool:
        with self._transaction() as cursor:
            if keep is not None and self._live(cursor, Place(locator, keep)) is None:
                return False
            cursor.execute(
                "DELETE FROM sessions WHERE locator = ? AND field IS NOT ?", (locator, keep)
            )
            return keep is not None or cursor.rowcount > 0

    def list(self, locator: str, limit: int, cursor: str | None = None) -> Listing:
        with self._transaction(READ) as connection:
            connection.execute(
                "SELECT field, record FROM sessions WHERE locator = :locator AND NOT %s "
                "AND hex(field) > :after ORDER BY hex(field) LIMIT :limit" % EXPIRED,
                {"locator": locator, "now": self.now(), "after": cursor or "", "limit": limit},
            )
            rows = connection.fetchall()
        found = []
        for field, value in rows:
            with contextlib.suppress(codec.UnknownFormatError):  # it does not hide the others
                record = codec.unpack(value)
                if record is not None:
                    found.append((field, record._replace(body=b"")))
        return found, rows[-1][0].hex().upper() if len(rows) == limit else None

    def count(self, locator: str) -> int:
        with self._transaction(READ) as cursor:
            cursor.execute(
                "SELECT count(*) FROM sessions WHERE locator = :locator AND NOT %s" % EXPIRED,
                {"locator": locator, "now": self.now()},
            )
            return int(cursor.fetchone()[0])

    def scan(self, limit: int, cursor: str | None = None) -> Scan:
        with self._transaction(READ) as connection:
            connection.execute(
                "SELECT DISTINCT locator FROM sessions WHERE locator > ? ORDER BY locator LIMIT ?",
                (cursor or "", limit),
            )
            locators = [row[0] for row in connection.fetchall()]
        found = []
        for locator in locators:
            page, _ = self.list(locator, SAMPLE)
            if page:
                found.append(Found(locator, self.count(locator), page))
        return found, locators[-1] if len(locators) == limit else None

    def purge(self, cursor: str | None = None) -> Purged:
        removed = []
        with self._transaction() as connection:
            connection.execute(
                "SELECT locator, field, record FROM sessions WHERE %s LIMIT %d"
                % (EXPIRED, PURGE_ROWS),
                {"now": self.now()},
            )
            rows = connection.fetchall()
            for locator, field, value in rows:
                place = Place(locator, field)
                self._delete(connection, place)
                if (record := codec.unpack(value)) is not None:
                    removed.append((place, record._replace(body=b"")))
        return removed, "more" if len(rows) == PURGE_ROWS else None

    # SQL

    @contextlib.contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Cursor]:
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            with contextlib.closing(connection):
                self._make_table(connection)
                connection.execute("PRAGMA synchronous = NORMAL")  # whole after a crash, in WAL
                connection.execute(begin)
                with connection:
                    yield connection.cursor()
        except sqlite3.Error as error:
            raise SessionStoreUnavailable("SQLite: %s." % type(error).__name__) from error

    def _make_table(self, connection: sqlite3.Connection) -> None:
        if not self._has_table:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS sessions (locator TEXT, field BLOB, record BLOB, "
                "expires INTEGER, absolute INTEGER, PRIMARY KEY (locator, field))"
            )
            self._has_table = True

    def _make_room(self, cursor: sqlite3.Cursor, locator: str, limit: Limit | None) -> Inserted:
        """What insert() returns where the place is free."""
        if limit is None:
            return True
        cursor.execute(
            "SELECT field, record FROM sessions WHERE locator = :locator AND NOT %s" % EXPIRED,
            {"locator": locator, "now": self.now()},
        )
        held = [(field, codec.unpack(value)) for field, value in cursor.fetchall()]
        leaving = base.leaving([(field, each) for field, each in held if each], limit)
        for field in leaving or ():
            self._delete(cursor, Place(locator, field))
        return True if leaving == [] else leaving

    def _live(self, cursor: sqlite3.Cursor, place: Place) -> Record | None:
        return base.live(self._stored(cursor, place), place, self.now())

    def _stored(self, cursor: sqlite3.Cursor, place: Place) -> Record | None:
        cursor.execute("SELECT record FROM sessions WHERE %s" % HERE, _here(place))
        row = cursor.fetchone()
        return None if row is None else codec.unpack(row[0])

    def _write(self, cursor: sqlite3.Cursor, place: Place, record: Record) -> None:
        cursor.execute(
            "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
            (place.locator, place.field, codec.pack(record), record.expires, record.absolute),
        )

    def _delete(self, cursor: sqlite3.Cursor, place: Place) -> bool:
        cursor.execute("DELETE FROM sessions WHERE %s" % HERE, _here(place))
        return cursor.rowcount > 0


def _here(place: Place) -> dict[str, object]:
    return {"locator": place.locator, "field": place.field}
