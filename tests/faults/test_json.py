"""Faults under the JSON backend: a process that dies, a call that fails, at every step there is."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from django_jam_sessions import SessionStoreUnavailable
from django_jam_sessions.backends.base import Limit
from django_jam_sessions.backends.json import JSONBackend

from .scenes import HOUR, OPERATIONS, Scene, done, leftovers, record
from .steps import failing_at, killed_at, run_and_judge

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(params=[False, True], ids=["", "fsync"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> JSONBackend:
    return JSONBackend(tmp_path / "sessions", fsync=request.param)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_is_killed_at_any_step_leaves_all_of_it_or_nothing(
    backend: JSONBackend, operation: str
) -> None:
    step, is_killed, outcomes = 0, True, set()
    while is_killed:
        step += 1
        scene = Scene(backend)
        before, after = scene.state(), done(operation, scene)
        is_killed = killed_at(step, lambda: OPERATIONS[operation](scene))  # noqa: B023 - run at once
        fresh = JSONBackend(backend.path)
        state = scene.state(fresh)
        assert state in (before, after), step
        outcomes.add(state == after)
        # No lock is left: who comes next writes at once, and purge() tidies up.
        assert fresh.insert(scene.free._replace(field=bytes(16)), record(b"[3]"), HOUR)
        fresh.purge()
        assert leftovers(fresh) == []
        assert fresh.remove(scene.free._replace(field=bytes(16)))
        assert scene.state(fresh) == state
    assert step > 4
    assert outcomes == {False, True} or operation == "touch"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_call_that_fails_is_a_typed_error_and_the_old_state_or_the_new(
    backend: JSONBackend, operation: str, number: int
) -> None:
    step, failed = 0, ["first"]
    while failed:
        step += 1
        scene = Scene(backend)
        before, after = scene.state(), done(operation, scene)
        answer: object = None
        with failing_at(step, number) as failed:
            try:
                answer = OPERATIONS[operation](scene)
            except SessionStoreUnavailable:
                answer = None
        state = scene.state()
        assert state in (before, after)
        assert not answer or state == after
        assert list(backend.path.rglob("*.tmp")) == []
        assert scene.state(JSONBackend(backend.path)) == state
        backend.purge()
    assert step > 3


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whoever_repeats_what_was_cut_off_succeeds(tmp_path: Path, operation: str) -> None:
    """Whatever a dead process left is in nobody's way."""
    backend = JSONBackend(tmp_path / "sessions")
    step, is_killed = 0, True
    while is_killed:
        step += 1
        scene = Scene(backend)
        before, after = scene.state(), done(operation, scene)
        is_killed = killed_at(step, lambda: OPERATIONS[operation](scene))  # noqa: B023 - run at once
        was_done = scene.state() == after
        answer = OPERATIONS[operation](scene)
        assert answer is (not (was_done and operation.startswith(("remove", "clear"))))
        assert scene.state() == after
        assert before


def test_what_a_dead_mover_left_comes_to_life_for_nobody(tmp_path: Path) -> None:
    """Nor later, when its source has ended: by its end, by a clear, by a move elsewhere."""
    backend = JSONBackend(tmp_path / "sessions")
    for end in ("remove", "clear", "sign in as another", "replace"):
        step, is_killed = 0, True
        while is_killed:
            step += 1
            scene = Scene(backend)
            is_killed = killed_at(
                step,
                lambda: scene.backend.move(scene.here, scene.far, scene.new, None, HOUR),  # noqa: B023
            )
            if scene.backend.fetch(scene.here) is None:
                continue
            assert OPERATIONS[end](scene)
            assert scene.backend.fetch(scene.far) is None
            found, _ = scene.backend.scan(1000)
            assert scene.far.locator not in [each.locator for each in found]
            scene.backend.remove_all(scene.here.locator)


@pytest.mark.parametrize("operation", ["insert", "move"])
def test_who_is_killed_at_a_keys_limit_leaves_one_too_many_at_the_most(
    tmp_path: Path, operation: str
) -> None:
    """Nobody is signed out for a session that never was; the next one ends the surplus."""
    backend, limit = JSONBackend(tmp_path / "sessions"), Limit(2, ends_oldest=True)

    def act(scene: Scene) -> object:
        if operation == "insert":
            return backend.insert(scene.free, scene.new, HOUR, limit)
        return backend.move(scene.other, scene.free, scene.new, None, HOUR, limit)

    step, is_killed = 0, True
    while is_killed:
        step += 1
        scene = Scene(backend)
        is_killed = killed_at(step, lambda: act(scene))  # noqa: B023 - run at once
        is_made = backend.fetch(scene.free) is not None
        assert backend.count(scene.here.locator) in ((2, 3) if is_made else (2,))
        left = backend.insert(scene.free._replace(field=bytes(16)), record(b"[3]"), HOUR, limit)
        assert isinstance(left, list)
        assert len(left) in (1, 2)
        assert backend.count(scene.here.locator) == 2


@pytest.mark.parametrize("operation", OPERATIONS)
def test_with_fsync_all_is_on_the_disk_before_it_is_answered(
    tmp_path: Path, operation: str
) -> None:
    scene = Scene(JSONBackend(tmp_path / "sessions", fsync=True))
    durability = run_and_judge(lambda: OPERATIONS[operation](scene))
    # But for what clear() removes when all is over, by names relative to a descriptor.
    assert {each for each in durability.unsynced if each and "/trash" not in each} == set()
    assert durability.mistakes == []
    without = Scene(JSONBackend(tmp_path / "sessions"))
    assert run_and_judge(lambda: OPERATIONS[operation](without)).unsynced


def test_with_fsync_a_new_directory_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "sessions"
    assert run_and_judge(JSONBackend(path, fsync=True).directory.prepare).unsynced <= {
        str(path / ".gitignore")
    }


def test_without_fsync_nothing_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.fsync")
    scene = Scene(JSONBackend(tmp_path / "sessions"))
    for operation in OPERATIONS.values():
        operation(scene)
