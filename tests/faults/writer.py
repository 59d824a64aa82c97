"""Processes that write to a JSON backend at full speed until they are killed, or told to stop.

``python -m tests.faults.writer <directory>`` forks a writer for each line ``{"log": path,
"is_slow": bool, "blocking": {worker: known}, "awaited": {…}}`` that it reads, and answers with its
process id; to ``{"wait": pid}`` it answers with how that one ended. A worker notes in the log what
it is about to do, and then what came of it: all that its clients know. A slow writer waits before
each change of names, so that a kill comes between two of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from .steps import hooked

SHARED = "shared"  # a key of everybody; each worker has one of its own besides
COMMON = "common"  # the label of a session that everybody writes to
SLOW = 0.004  # seconds, at the most, before each change of names that a slow writer makes
HELD = 6  # sessions per worker, about
Known = dict[str, dict[str, Any]]
"""By label: id, value, key (None: nobody's) and whether it is the engine's."""

stopped = threading.Event()


def data_of(label: str, value: str, key: str | None = None) -> dict[str, Any]:
    owner = {} if key is None else {"_auth_user_id": key}
    return {"label": label, "value": value, "padding": padding(value), **owner}


def padding(value: str) -> str:
    """From nothing to some 70 KB, so that a write takes its time."""
    return value * (sum(value.encode()) % 7) ** 4


class Blocking:
    """The module and the engine's store, blocking. Its coroutines never wait."""

    def __init__(self, module: Any) -> None:
        self.module = module.sync

    async def call(self, name: str, *args: Any) -> Any:
        return getattr(self.module, name)(*args)

    async def on(self, store: Any, name: str, *args: Any) -> Any:
        return getattr(store, name)(*args)

    async def set(self, store: Any, **items: Any) -> None:
        for name, value in items.items():
            store[name] = value


class Awaited(Blocking):
    def __init__(self, module: Any) -> None:
        self.module = module

    async def call(self, name: str, *args: Any) -> Any:
        return await getattr(self.module, name)(*args)

    async def on(self, store: Any, name: str, *args: Any) -> Any:
        return await getattr(store, "a" + name)(*args)

    async def set(self, store: Any, **items: Any) -> None:
        for name, value in items.items():
            await store.aset(name, value)


class Worker:
    def __init__(self, name: str, face: Blocking, known: Known, log: int, store: Any) -> None:
        self.name, self.face, self.known, self.log, self.store = name, face, known, log, store
        self.dice = random.Random()
        self.run, self.number = os.urandom(4).hex(), 0

    def note(self, **event: Any) -> None:
        os.write(self.log, (json.dumps({"worker": self.name, **event}) + "\n").encode())

    async def work(self) -> None:
        try:
            while not stopped.is_set():
                await self.step()
        except Exception as error:
            self.note(error="%s: %s" % (type(error).__name__, error))
            raise

    async def step(self) -> None:
        self.number += 1
        value = "%s.%d" % (self.run, self.number)
        theirs = {COMMON: [COMMON]}
        theirs["module"] = [each for each in self.known if self.is_of(each, False)]
        theirs["engine"] = [each for each in self.known if self.is_of(each, True)]
        choices = [("create", ""), ("sign_in", ""), ("count", COMMON), ("look", "")]
        if len(self.known) > HELD:
            choices = [("delete", "module"), ("flush", "engine"), ("clear", "")]
        choices += [(name, "module") for name in ("update", "update", "rework", "rework")]
        choices += [("delete", "module"), ("clear_others", "module")]
        choices += [(name, "engine") for name in ("save", "save", "cycle", "touch", "flush")]
        name, kind = self.dice.choice(choices)
        if not kind:
            await getattr(self, name)(value)
        elif theirs[kind]:
            await getattr(self, name)(value, self.dice.choice(theirs[kind]))

    def is_of(self, label: str, is_engine: bool) -> bool:
        return label != COMMON and self.known[label]["engine"] is is_engine

    def doing(self, name: str, labels: list[str], value: str | None = None) -> None:
        self.note(doing=name, labels=labels, value=value)

    def done(self, label: str, session_id: str | None, value: str | None, **more: Any) -> None:
        state = {**self.known.get(label, {}), "id": session_id, "value": value, **more}
        self.known[label] = state
        self.note(done={label: state})

    def ended(self, labels: list[str]) -> None:
        for label in labels:
            del self.known[label]
        self.note(done=dict.fromkeys(labels))

    # What a step is

    async def create(self, value: str) -> None:
        label, key = "%s.%s" % (self.name, value), self.dice.choice([SHARED, self.name])
        self.doing("create", [label], value)
        made = await self.face.call("create", key, data_of(label, value))
        self.done(label, made, value, key=key, engine=False)

    async def sign_in(self, value: str) -> None:
        label, key = "%s.%s" % (self.name, value), self.dice.choice([SHARED, self.name])
        store = self.store()
        self.doing("create", [label], value)
        await self.face.set(store, **data_of(label, value))
        await self.face.on(store, "save")
        self.done(label, store.session_key, value, key=None, engine=True)
        value += ".in"
        self.doing("move", [label], value)
        await self.face.set(store, **data_of(label, value, key))
        await self.face.on(store, "save")
        self.done(label, store.session_key, value, key=key)

    async def count(self, value: str, label: str) -> None:
        self.doing("count", [])
        store = self.store(self.known[label]["id"])
        number = await self.face.on(store, "get", self.name, 0)
        await self.face.set(store, **{self.name: number + 1})
        await self.face.on(store, "save")
        self.note(done={}, count=number + 1)

    async def look(self, value: str) -> None:
        await self.face.call("list", SHARED)
        await self.face.call("count", self.name)
        if self.dice.random() < 0.1:
            await self.face.call("purge")

    async def clear(self, value: str) -> None:
        labels = [label for label, state in self.known.items() if state["key"] == self.name]
        if labels:
            self.doing("clear", labels)
            await self.face.call("clear", self.name)
            self.ended(labels)

    async def clear_others(self, value: str, label: str) -> None:
        if self.known[label]["key"] == self.name:
            states = self.known.items()
            labels = [each for each, it in states if it["key"] == self.name and each != label]
            self.doing("clear_others", labels)
            await self.face.call("clear_others", self.known[label]["id"])
            self.ended(labels)

    async def update(self, value: str, label: str) -> None:
        self.doing("update", [label], value)
        await self.face.call("update", self.known[label]["id"], data_of(label, value))
        self.done(label, self.known[label]["id"], value)

    async def rework(self, value: str, label: str) -> None:
        self.doing("move", [label], self.known[label]["value"])
        new_id = await self.face.call("rework", self.known[label]["id"])
        self.done(label, new_id, self.known[label]["value"])

    async def delete(self, value: str, label: str) -> None:
        self.doing("delete", [label])
        await self.face.call("delete", self.known[label]["id"])
        self.ended([label])

    async def save(self, value: str, label: str) -> None:
        store = self.store(self.known[label]["id"])
        self.doing("save", [label], value)
        await self.face.set(store, **data_of(label, value))
        await self.face.on(store, "save")
        self.done(label, store.session_key, value)

    async def cycle(self, value: str, label: str) -> None:
        store = self.store(self.known[label]["id"])
        self.doing("move", [label], value)
        await self.face.set(store, **data_of(label, value))
        await self.face.on(store, "cycle_key")
        await self.face.on(store, "save")
        self.done(label, store.session_key, value)

    async def touch(self, value: str, label: str) -> None:
        state = self.known[label]
        store = self.store(state["id"])
        self.doing("touch", [label], state["value"])
        assert await self.face.on(store, "get", "value") == state["value"]
        await self.face.on(store, "save")
        self.done(label, state["id"], state["value"])

    async def flush(self, value: str, label: str) -> None:
        store = self.store(self.known[label]["id"])
        self.doing("delete", [label])
        await self.face.on(store, "flush")
        self.ended([label])


def run_blocking(work: Coroutine[Any, Any, None]) -> None:
    try:
        work.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001 - it is in the log
        os._exit(1)
    raise AssertionError("a blocking call waited")


async def run_awaited(workers: list[Worker]) -> None:
    await asyncio.gather(*(each.work() for each in workers))


def dawdle(name: str, args: tuple[Any, ...]) -> None:
    if name in ("replace", "rename", "unlink"):
        time.sleep(random.uniform(0, SLOW))


def write(order: dict[str, Any]) -> None:
    """What a forked writer does: two kinds of workers at once."""
    from django_jam_sessions.configured import configured
    from django_jam_sessions.engine import SessionStore

    signal.signal(signal.SIGTERM, lambda *args: stopped.set())
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    module = configured.current()

    def workers_of(kind: str, face: Blocking) -> list[Worker]:
        return [Worker(name, face, each, log, SessionStore) for name, each in order[kind].items()]

    workers = workers_of("blocking", Blocking(module)), workers_of("awaited", Awaited(module))
    threads = [threading.Thread(target=run_blocking, args=(each.work(),)) for each in workers[0]]
    with hooked(dawdle) if order["is_slow"] else contextlib.nullcontext():
        for thread in threads:
            thread.start()
        asyncio.run(run_awaited(workers[1]))
        for thread in threads:
            thread.join()


def set_up(directory: Path) -> None:
    from django.conf import settings

    settings.configure(
        SECRET_KEY="x" * 50,
        SESSION_ENGINE="django_jam_sessions.engine",
        JAM_SESSIONS={"JSON_PATH": directory, "TOUCH_INTERVAL": 300},
    )


def serve(directory: Path) -> None:
    set_up(directory)
    import django_jam_sessions.engine  # noqa: F401 - once, and not in each fork

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                try:
                    write(order)
                    os._exit(0)
                except BaseException:  # noqa: BLE001 - it is in the log
                    os._exit(1)
        sys.stdout.write("%d\n" % answer)
        sys.stdout.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
