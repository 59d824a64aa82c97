"""What the JSON backend finds in a session's file: made up, or a genuine document of which a part
is cut out or replaced."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from django_jam_sessions import SessionModule, codec
from django_jam_sessions.backends import documents
from django_jam_sessions.codec import MODULE, PLAIN, Record

from . import hostile, spliced

DIRECTORY = Path(tempfile.mkdtemp(prefix="jam-fuzz-"))
atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)

OPTIONS: dict[str, Any] = {"session_ttl": None, "max_sessions_per_key": 2}
SESSIONS = SessionModule("json", json_path=DIRECTORY / "sessions", **OPTIONS)
ID = codec.issue(SESSIONS.operations.cipher.locator(hostile.KEY), MODULE).id
SESSIONS.sync.purge()  # makes the directory
PLACE = hostile.place_of(ID)
FOLDER = DIRECTORY / "sessions" / PLACE.locator[:2] / PLACE.locator

RECORD = Record(MODULE, PLAIN, b"version8", 0, 0, 5, 5, b'["17",["::1","x"]]', b'{"n":[1,"x"]}')
WRITTEN = documents.dumps(RECORD)
GENUINE = [
    WRITTEN,
    json.dumps(json.loads(WRITTEN)).encode(),  # as an editor may leave it
    documents.dumps(RECORD._replace(meta=b"\xff", body=b"\xff")),
]


def one_input(data: bytes) -> None:
    content = spliced(data, GENUINE)
    plant(content)
    hostile.use(SESSIONS, ID)


def plant(content: bytes) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / (PLACE.field.hex() + ".json")).write_bytes(content)
