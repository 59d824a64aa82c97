"""A process with a disk that gets full: ``python -m tests.faults.full_disk <directory> <how>``.

``tmpfs``: mounts a small one on the directory, so it wants root or a user namespace. ``files``: no
file may grow over 4 KiB, which needs nothing. Says on the last line what it found.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django_jam_sessions import SessionModule, SessionStoreUnavailable

LARGEST = 4096  # bytes


def main(directory: Path, how: str) -> dict[str, Any] | str:
    if how == "tmpfs":
        options = "size=128k,nr_inodes=2000"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(directory)]
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
            return "no mount"
    path = directory / "sessions"
    module = SessionModule("json", json_path=path)
    kept: dict[str, dict[str, Any]] = {
        module.sync.create("5", {"n": n}): {"n": n} for n in range(5)
    }
    gone = [module.sync.create(str(n), {}) for n in range(2)]
    if how == "files":
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))  # Python ignores SIGXFSZ
        large = {"x": "y" * 2 * LARGEST}
    else:
        large = {"x": "y" * 2000}
        while is_refused(lambda: kept.update({module.sync.create("5", large): large})) is None:
            pass
        fill(directory)
    found: dict[str, Any] = {
        "create": is_refused(lambda: module.sync.create("5", large)),
        "create awaited": is_refused(lambda: asyncio.run(module.create("5", large))),
        "update": [is_refused(lambda: module.sync.update(each, large)) for each in kept][-1],  # noqa: B023
    }
    if how == "tmpfs":
        found["rework"] = is_refused(lambda: module.sync.rework(next(iter(kept))))
        found["create in a new place"] = is_refused(lambda: module.sync.create("new", {}))
    found["temporary files"] = len(list(path.rglob("*.tmp")))
    # Who starts on the full disk can read, end sessions, and so make room.
    again = SessionModule("json", json_path=path)
    found["read back"] = all(again.sync.get(each, None) == kept[each] for each in kept)
    found["count"] = again.sync.count("5") == len(kept)
    again.sync.delete(gone[0])
    again.sync.clear("1")
    again.sync.clear("5")
    (directory / "fill").unlink(missing_ok=True)
    if how == "tmpfs":
        found["room again"] = again.sync.get(again.sync.create("5", large)) == large
    found["sessions"] = len(kept)
    return found


def fill(directory: Path) -> None:
    with open(directory / "fill", "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


def is_refused(function: Callable[[], Any]) -> str | None:
    try:
        function()
    except SessionStoreUnavailable as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
