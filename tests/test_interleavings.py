"""All interleavings of operations on the same sessions: each ends as some serial order does."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from django_jam_sessions import SessionModule, SessionNotFoundError
from django_jam_sessions.steps import Steps

from .histories import MISSING
from .interleavings import World, outcomes, serial_outcomes
from .model import handle

IS_LONG = "LINEARIZABILITY_ROUNDS" in os.environ
OLD, NEW = b"o" * 32, b"n" * 32

METHODS: dict[str, Callable[[str, str, str], tuple[Any, ...]]] = {
    "create": lambda key, one, other: (key, {"n": 9}),
    "get": lambda key, one, other: (one,),
    "update": lambda key, one, other: (one, {"n": 7}),
    "update again": lambda key, one, other: (one, {"n": 8}),
    "delete": lambda key, one, other: (one,),
    "rework": lambda key, one, other: (one,),
    "clear": lambda key, one, other: (key,),
    "clear_others": lambda key, one, other: (one,),
    "clear_others of the other": lambda key, one, other: (other,),
    "end": lambda key, one, other: (key, handle(one)),
    "list": lambda key, one, other: (key, None, 1000, None),
    "count": lambda key, one, other: (key,),
}

fresh = itertools.count()


class Outcome(NamedTuple):
    """Sessions by what they are: ids are others each time."""

    results: tuple[Any, ...]
    data: frozenset[tuple[str, str]]
    listed: frozenset[str]
    number: int


def world(begins: SessionModule, module: SessionModule, names: Sequence[str]) -> World:
    """Two sessions of a key that nobody had, and operations that are about to begin."""
    key = "interleaved %d" % next(fresh)
    one, other = (begins.sync.create(key, {"n": n}) for n in (1, 2))

    def found(name: str) -> Steps[Any]:
        method = getattr(module._steps, name.partition(" ")[0])
        try:
            return (yield from method(*METHODS[name](key, one, other)))
        except SessionNotFoundError:
            return MISSING

    def look(results: list[Any]) -> Any:
        labels = {one: "one", other: "other"}
        for number, result in enumerate(results):
            if isinstance(result, str) and result != MISSING:
                labels[result] = "made by %d" % number
        handles = {handle(each): label for each, label in labels.items()}
        seen = tuple(_labelled(result, labels, handles) for result in results)
        left = {label: str(module.sync.get(each, None)) for each, label in labels.items()}
        listed = {handles.get(info.handle, "?") for info in module.sync.list(key)}
        return Outcome(seen, frozenset(left.items()), frozenset(listed), module.sync.count(key))

    return module.backend, [found(name) for name in names], look


def _labelled(result: Any, labels: dict[str, str], handles: dict[str, str]) -> Any:
    if isinstance(result, list):
        return frozenset(handles.get(info.handle, "?") for info in result)
    return str(result) if isinstance(result, dict) else labels.get(str(result), result)


def check(begins: SessionModule, module: SessionModule, names: Sequence[str]) -> int:
    """How many interleavings there are."""

    def make() -> World:
        return world(begins, module, names)

    serial = serial_outcomes(make, len(names))
    count = 0
    for outcome in outcomes(make):
        count += 1
        assert outcome in serial, names
    return count


def combinations(size: int, sample: int = 0) -> list[tuple[str, ...]]:
    """Of methods, with repetition: all there are, or some. All are for the long run."""
    names = list(itertools.combinations_with_replacement(METHODS, size))
    return random.sample(names, sample) if sample and not IS_LONG else names


@pytest.fixture
def is_slow(store: dict[str, Any]) -> bool:
    """SQLite takes ten times as long."""
    return bool(store["sessions_type"] == "custom")


def test_two_at_once(module: SessionModule, is_slow: bool) -> None:
    pairs = combinations(2, 10 if is_slow else 0)
    assert sum(check(module, module, names) for names in pairs) >= len(pairs)


def test_three_at_once(module: SessionModule, is_slow: bool) -> None:
    triples = combinations(3, 1 if is_slow else 10)
    assert sum(check(module, module, names) for names in triples) >= 6 * len(triples)


# With two secrets a key has two places. What visits both is no single step: this is promised still.


def rotating(store: dict[str, Any], *secrets: bytes) -> SessionModule:
    return SessionModule(is_session_crypt=True, session_aes_secret=list(secrets), **store)


def unlisted(outcome: Outcome) -> Outcome:
    """An outcome but for what was listed and counted on the way."""
    results = tuple(None if isinstance(each, frozenset | int) else each for each in outcome.results)
    return outcome._replace(results=results)


def test_two_at_once_while_the_secret_is_rotated(store: dict[str, Any], is_slow: bool) -> None:
    """A session that a rework moves may be listed twice, and end with those that clear_others()
    ends. None is missing from a list, none lives on that is to end, and all else is as ever."""
    begins, module = rotating(store, OLD), rotating(store, NEW, OLD)
    odd = 0
    for names in combinations(2, 15 if is_slow else 0):

        def make(names: tuple[str, ...] = names) -> World:
            return world(begins, module, names)

        serial = serial_outcomes(make, 2)
        for outcome in set(outcomes(make)) - serial:
            odd += 1
            assert "rework" in names
            if unlisted(outcome) in map(unlisted, serial):
                assert any(is_more(outcome, each) for each in serial), names
            else:
                assert any("clear" in name for name in names)
                assert any(outcome.listed < each.listed for each in serial), names
    assert odd < 20


def is_more(outcome: Outcome, serial: Outcome) -> bool:
    """Whether as much was listed, or more."""
    return all(
        one >= other if isinstance(one, frozenset | int) else one == other
        for one, other in zip(outcome.results, serial.results, strict=True)
    )
