"""A power loss under the JSON backend: ext4 on a loop device, stopped before it writes its journal.

That wants root, a loop device and ext4; elsewhere these are skipped. The order of the calls, which
is what fsync comes down to, is judged everywhere, in test_json.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_jam_sessions.backends.json import JSONBackend

from .scenes import HOUR, OPERATIONS, Scene, done, record
from .steps import killed_at

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

# linux/fs/ext4/ext4.h: EXT4_IOC_SHUTDOWN, and its flag for "as if the power went".
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
STRIDE = 1 if "JSON_ALL_STEPS" in os.environ else 3


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError("%s: %s" % (command[0], done.stderr))
    return done.stdout.strip()


class Disk:
    """A file system that nothing reaches the disk of but by fsync."""

    def __init__(self, directory: Path) -> None:
        self.image, self.path = directory / "image", directory / "mounted"
        self.path.mkdir()
        self.image.write_bytes(b"")
        os.truncate(self.image, 16 << 20)
        run("mkfs.ext4", "-q", str(self.image))
        # One device for all: a mount's own goes with it, some time later.
        self.device = run("losetup", "--find", "--show", str(self.image))

    def mount(self) -> None:
        run("mount", "-o", "commit=3600", self.device, str(self.path))

    def unmount(self) -> None:
        run("umount", str(self.path))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.unmount()
        run("losetup", "--detach", self.device)

    def lose_power(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)
        for _ in range(200):
            self.unmount()
            self.mount()
            if self.is_on():
                return
            time.sleep(0.05)
        raise OSError("the file system stays stopped")

    def is_on(self) -> bool:
        """False as long as another mount namespace, made meanwhile, holds the stopped one."""
        try:
            (self.path / "probe").touch()
            (self.path / "probe").unlink()
        except OSError:
            return False
        return True


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not all(map(shutil.which, ("mkfs.ext4", "losetup", "mount", "umount"))):
        pytest.skip("there is no mkfs.ext4, losetup or mount")
    try:
        disk = Disk(tmp_path)
    except OSError as error:
        pytest.skip("there is no loop device: %s" % error)
    try:
        try:
            disk.mount()
            disk.lose_power()
        except OSError as error:
            pytest.skip("no file system can be mounted, or stopped: %s" % error)
        yield disk
    finally:
        disk.close()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_with_fsync_what_was_answered_survives_a_power_loss(disk: Disk, operation: str) -> None:
    scene = Scene(JSONBackend(disk.path / "a" / "sessions", fsync=True))
    after = done(operation, scene)
    assert OPERATIONS[operation](scene) is True
    disk.lose_power()
    fresh = JSONBackend(scene.backend.path)  # type: ignore[attr-defined]  # it is a JSONBackend
    assert scene.state(fresh) == after


@pytest.mark.parametrize("operation", OPERATIONS)
def test_with_fsync_a_power_loss_in_the_midst_leaves_all_or_nothing(
    disk: Disk, operation: str
) -> None:
    step, is_killed, act = 0, True, OPERATIONS[operation]
    while is_killed:
        step += STRIDE
        scene = Scene(JSONBackend(disk.path / "sessions", fsync=True))
        before, after = scene.state(), done(operation, scene)
        is_killed = killed_at(step, lambda: act(scene))  # noqa: B023 - it is run at once
        disk.lose_power()
        fresh = JSONBackend(disk.path / "sessions", fsync=True)
        assert scene.state(fresh) in (before, after), step
        assert fresh.insert(scene.free._replace(field=bytes(16)), record(b"[3]"), HOUR)


def test_without_fsync_a_power_loss_undoes_what_was_answered(disk: Disk) -> None:
    """Else the tests above show nothing. What is left is whole, or dead."""
    backend = JSONBackend(disk.path / "sessions")
    scene = Scene(backend)
    os.sync()
    before = scene.state()
    for operation in ("remove", "sign in for the first time"):
        assert OPERATIONS[operation](scene) is True
    assert scene.state() != before
    disk.lose_power()
    assert scene.state(JSONBackend(backend.path)) == before
