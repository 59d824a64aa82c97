"""The system calls of the JSON backend, one by one: to note them, and to fail or die at one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

CALLS = (
    "open",
    "write",
    "fsync",
    "close",
    "replace",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
)
Hook = Callable[[str, tuple[Any, ...]], None]


@contextlib.contextmanager
def hooked(before: Hook, after: Callable[[str, tuple[Any, ...], Any], None] | None = None) -> Any:
    """Call ``before(name, arguments)`` before each call that changes a disk or opens a file."""
    real = {name: getattr(os, name) for name in CALLS}

    def wrap(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            before(name, args)
            result = real[name](*args, **kwargs)
            if after is not None:
                after(name, args, result)
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrap(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def killed_at(step: int, function: Callable[[], object]) -> bool:
    """Run it in a forked child that dies before its ``step``-th call; whether it came to that."""
    pid = os.fork()
    if pid == 0:
        left = step

        def count(name: str, args: tuple[Any, ...]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(9)  # as abrupt as SIGKILL: nothing is flushed, nothing unwound

        try:
            with hooked(count):
                function()
        except BaseException:  # noqa: BLE001 - nothing of pytest may run in the child
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9


@contextlib.contextmanager
def failing_at(step: int, number: int) -> Iterator[list[str]]:
    """The ``step``-th call fails with that errno; its name is in the list then."""
    left, failed = step, []

    def count(name: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if name != "close":  # it closes, whatever it says
            left -= 1
            if left == 0:
                failed.append(name)
                raise OSError(number, os.strerror(number))

    with hooked(count):
        yield failed


class Durability:
    """What a power loss could undo, judged by POSIX alone: a name is safe once its directory was
    synced, a file's content once the file was."""

    def __init__(self) -> None:
        self.paths: dict[int, str] = {}
        self.unsynced: set[str] = set()
        self.mistakes: list[str] = []

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        if name in ("replace", "rename") and str(args[0]) in self.unsynced:
            self.mistakes.append("%s before fsync" % name)

    def after(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        if name == "open":
            self.paths[result] = str(args[0])
        elif name == "write":
            self.unsynced.add(self.paths[args[0]])
        elif name == "fsync":
            self.unsynced.discard(self.paths[args[0]])
        elif name in ("replace", "rename"):
            self.unsynced |= {os.path.dirname(str(each)) for each in args[:2]}
        elif name in ("unlink", "mkdir", "rmdir"):
            self.unsynced.add(os.path.dirname(str(args[0])))
        if name in ("rmdir", "rename"):
            self.unsynced.discard(str(args[0]))  # gone, and with it what was to be synced


def run_and_judge(function: Callable[[], object]) -> Durability:
    durability = Durability()
    with hooked(durability.before, durability.after):
        function()
    return durability
