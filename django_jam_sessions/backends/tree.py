"""Where the JSON backend's documents lie, and which there are."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .. import codec
from ..codec import Place
from .files import is_allowed, names

logger = logging.getLogger(__name__)

_NAME = re.compile(r"([0-9a-f]{32})\.json")


class Tree:
    """``<path>/<two characters>/<locator>/<field>.json``"""

    def __init__(self, path: Path) -> None:
        self.path = path

    def folder(self, locator: str) -> str:
        return "%s/%s/%s" % (self.path, locator[:2], locator)

    def file(self, place: Place) -> str:
        return "%s/%s.json" % (self.folder(place.locator), place.field.hex())

    def fields(self, locator: str, after: str | None = None) -> Iterator[bytes]:
        for name in names(self.folder(locator)):
            match = _NAME.fullmatch(name)
            if match is not None and (after is None or match[1] > after):
                yield bytes.fromhex(match[1])

    def locators(self, after: str = "") -> Iterator[str]:
        for shard in names(self.path):
            if len(shard) == 2 and shard >= after[:2] and _is_readable(self.path / shard):
                for name in names(self.path / shard):
                    is_next = codec.is_locator(name) and name > after
                    if is_next and _is_readable(self.path / shard / name):
                        yield name

    def tidy(self, locator: str) -> None:
        """Remove what a killed writer left; the caller holds the lock, so nobody writes it now."""
        folder = self.folder(locator)
        for name in names(folder):
            if name.endswith(".tmp"):
                with contextlib.suppress(OSError):  # what is in one folder's way is in no other's
                    os.unlink("%s/%s" % (folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _is_readable(folder: Path) -> bool:
    """Whether it can be looked into: one that can't be does not hide the others."""
    if is_allowed(folder, os.R_OK | os.X_OK):
        return True
    logger.warning("The folder %s of the session directory can't be read.", folder.name)
    return False
