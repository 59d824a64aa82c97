"""kill -9 of a process that writes to the JSON backend, at random moments, while another writes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_jam_sessions import SessionModule, codec
from django_jam_sessions.backends import documents
from django_jam_sessions.backends.json import JSONBackend
from django_jam_sessions.codec import ENGINE, Place

from .scenes import leftovers
from .writer import COMMON, SHARED, Known, padding

ROOT = Path(__file__).parent.parent.parent
KILLS = int(os.environ.get("JSON_KILLS", "25"))
LONGEST = 0.06  # seconds before a kill
VICTIM = {"blocking": ["a", "b"], "awaited": ["c", "d"]}
SURVIVOR = {"blocking": ["e"], "awaited": ["f"]}
ENDS = ("delete", "clear", "clear_others")


class Writers:
    """The process that forks the writers: a fork is quicker than a start."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, **order: Any) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    command = [sys.executable, "-m", "tests.faults.writer", str(tmp_path / "sessions")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        yield Writers(process)


class Check:
    """What the clients know, and whether the store agrees."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.module = SessionModule("json", json_path=path)
        self.backend = JSONBackend(path)
        self.known: dict[str, Known] = defaultdict(dict)
        self.counts: Counter[str] = Counter()
        self.cut_off: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        common = self.module.sync.create(COMMON, {})
        place = codec.place_of(common)
        assert place is not None
        record = self.backend.fetch(place)
        assert record is not None
        # The engine's, and yet with an owner who is no user.
        engines = documents.dumps(record._replace(issuer=ENGINE))
        Path(self.backend.tree.file(place)).write_bytes(engines)
        self.common = {"id": common, "value": None, "key": COMMON, "engine": True}

    def known_of(self, worker: str) -> Known:
        return {**self.known[worker], COMMON: self.common}

    def read_log(self, log: Path) -> dict[str, dict[str, Any]]:
        """Takes in what was done; returns what each worker was about to do."""
        pending: dict[str, dict[str, Any]] = {}
        for line in log.read_text().splitlines():
            event = json.loads(line)
            worker = event["worker"]
            assert "error" not in event, event
            if "doing" in event:
                pending[worker] = event
                continue
            del pending[worker]
            self.figures["operations"] += 1
            self.counts[worker] = event.get("count", self.counts[worker])
            for label, state in event["done"].items():
                if state is None:
                    del self.known[worker][label]
                else:
                    self.known[worker][label] = state
        return pending

    def stored(self) -> dict[str, list[tuple[Place, dict[str, Any]]]]:
        """By label, all that is on the disk: each document loads, and scan() shows it."""
        found = defaultdict(list)
        shown = set()
        cursor = None
        while True:
            page, cursor = self.backend.scan(1000, cursor)
            for each in page:
                listed, _ = self.backend.list(each.locator, 10_000)
                assert each.count == self.backend.count(each.locator) == len(listed)
                shown |= {(each.locator, field) for field, _ in listed}
            if cursor is None:
                break
        for file in self.path.glob("??/*/*.json"):
            place = Place(file.parent.name, bytes.fromhex(file.stem))
            assert (place.locator, place.field) in shown
            record = documents.loads(file.read_bytes(), place)
            data = json.loads(record.body)
            if "label" in data:
                assert data["padding"] == padding(data["value"])
                assert self.backend.fetch(place) == record
                found[data["label"]].append((place, data))
        assert len(shown) == sum(map(len, found.values())) + 1
        return found

    def check(self, pending: dict[str, dict[str, Any]]) -> None:
        stored = self.stored()
        affected = {label: event for event in pending.values() for label in event["labels"]}
        certain = {
            label: state
            for known in self.known.values()
            for label, state in known.items()
            if label not in affected
        }
        assert set(stored) <= set(certain) | set(affected)  # nothing came back, nothing is new
        for label, state in certain.items():
            ((place, data),) = stored[label]
            assert place_of(state) == place
            assert data["value"] == state["value"]
            if not state["engine"]:
                assert self.module.sync.get(state["id"]) == data
        for label, event in affected.items():
            self.check_cut_off(event, self.known[event["worker"]].get(label), stored[label])
        for event in pending.values():
            if event["doing"] == "clear":
                assert len({bool(stored[label]) for label in event["labels"]}) == 1
        self.check_counts(pending)
        self.check_tidy(stored)
        self.forget(pending, stored)

    def check_cut_off(self, event: dict[str, Any], old: Any, found: list[Any]) -> None:
        """The session is as it was, or as it was to be; never twice, and not gone."""
        operation = event["doing"]
        self.cut_off[operation] += 1
        self.figures["sessions cut off"] += 1
        assert len(found) <= 1
        if not found:
            assert operation in ENDS or (operation == "create" and old is None), event
            return
        ((place, data),) = found
        assert data["value"] in (event["value"], old and old["value"])
        if old is None:
            return
        is_at_the_old = place == place_of(old)
        assert is_at_the_old or operation == "move"
        if not is_at_the_old:
            assert data["value"] == event["value"]
            assert self.module.sync.get(old["id"], None) is None
            self.figures["moves cut off after the step"] += 1

    def check_counts(self, pending: dict[str, dict[str, Any]]) -> None:
        """No update of the session that everybody writes to was lost."""
        common = self.backend.fetch(place_of(self.common))
        assert common is not None
        data = json.loads(common.body)
        for worker, count in self.counts.items():
            is_counting = pending.get(worker, {}).get("doing") == "count"
            assert data.get(worker, 0) - count in ((0, 1) if is_counting else (0,))
            self.counts[worker] = data.get(worker, 0)

    def check_tidy(self, stored: Any) -> None:
        """Locks can be had at once, and purge() leaves the living alone."""
        started = time.monotonic()
        for key in (SHARED, *"abcdef"):
            self.module.sync.delete(self.module.sync.create(key, {}))
        self.figures["left for purge"] += len(leftovers(self.backend))
        self.module.sync.purge()
        assert time.monotonic() - started < 5
        assert leftovers(self.backend) == []
        assert self.stored() == {label: found for label, found in stored.items() if found}

    def forget(self, pending: dict[str, dict[str, Any]], stored: Any) -> None:
        """Whose client does not know what came of it ends."""
        for worker, event in pending.items():
            for label in event["labels"]:
                self.known[worker].pop(label, None)
                for place, _ in stored[label]:
                    self.backend.remove(place)


def place_of(state: dict[str, Any]) -> Place:
    place = codec.place_of(state["id"])
    assert place is not None
    return place


def start(
    writers: Writers, check: Check, kinds: dict[str, list[str]], log: Path, is_slow: bool
) -> int:
    order = {kind: {name: check.known_of(name) for name in names} for kind, names in kinds.items()}
    return writers.ask(log=str(log), is_slow=is_slow, **order)


def test_killed_writers_leave_every_session_old_or_new(tmp_path: Path, writers: Writers) -> None:
    check = Check(tmp_path / "sessions")
    dice = random.Random()
    for kill in range(KILLS):
        logs = [tmp_path / ("%d.%s" % (kill, name)) for name in ("victim", "survivor")]
        survivor = start(writers, check, SURVIVOR, logs[1], False)
        victim = start(writers, check, VICTIM, logs[0], kill % 2 == 0)
        deadline = time.monotonic() + 30
        while not all(log.exists() and log.stat().st_size for log in logs):
            assert time.monotonic() < deadline
        time.sleep(dice.uniform(0, LONGEST))
        os.kill(victim, signal.SIGKILL)
        assert writers.ask(wait=victim) == -signal.SIGKILL
        os.kill(survivor, signal.SIGTERM)
        assert writers.ask(wait=survivor) == 0, logs[1].read_text()[-500:]
        pending = check.read_log(logs[0])
        assert check.read_log(logs[1]) == {}
        check.check(pending)
    figures = {**check.figures, "cut off": dict(check.cut_off)}
    sys.stderr.write("%d kills: %s\n" % (KILLS, json.dumps(figures)))
    assert check.figures["sessions cut off"] > KILLS / 4
