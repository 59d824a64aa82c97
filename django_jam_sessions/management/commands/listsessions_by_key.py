from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from ...infos import SessionInfo
from ...text import printable
from ._keys import KeysCommand


class Command(KeysCommand):
    help = "List the live sessions of the given keys, or of every key. Handles, never ids."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--json", action="store_true", help="One JSON object per line, for machines."
        )

    def handle(self, *, keys: list[str], user: list[str], **options: Any) -> None:
        named = self.named_keys(keys, user)
        write = self._write_json if options["json"] else self._write_table
        write(self._sessions(named or self.all_keys()))

    def _sessions(self, keys: Iterable[str]) -> Iterator[SessionInfo]:
        for key in keys:
            yield from sorted(self.sessions(key), key=lambda info: info.last_seen_at, reverse=True)

    def _write_json(self, infos: Iterator[SessionInfo]) -> None:
        for info in infos:
            line = {
                "session_key": info.session_key,
                "handle": info.handle,
                "created_at": info.created_at.isoformat(),
                "last_seen_at": info.last_seen_at.isoformat(),
                "expires_at": info.expires_at and info.expires_at.isoformat(),
                "client": info.client,
            }
            self.stdout.write(json.dumps(line))

    def _write_table(self, infos: Iterator[SessionInfo]) -> None:
        rows = [
            (
                printable(info.session_key or ""),
                info.handle,
                _minutes(info.created_at),
                _minutes(info.last_seen_at),
                _minutes(info.expires_at) if info.expires_at else "never",
            )
            for info in infos
        ]
        if not rows:
            self.stdout.write("No sessions.")
            return
        rows.insert(0, ("KEY", "HANDLE", "CREATED", "LAST SEEN", "EXPIRES"))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def _minutes(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M %Z")
