"""The three-way merge, by itself: what two writers of one session end up with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_jam_sessions.merge import merge


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


BASE = {"kept": 1, "shared": 1}


@pytest.mark.parametrize(
    ("mine", "theirs", "merged"),
    [
        (BASE, BASE, BASE),
        ({**BASE, "m": 2}, {**BASE, "t": 3}, {**BASE, "m": 2, "t": 3}),
        ({"kept": 1}, BASE, {"kept": 1}),
        ({"kept": 1}, {"kept": 1}, {"kept": 1}),  # both removed it
        ({"kept": 1}, {**BASE, "shared": 2}, {"kept": 1}),  # the last one wins
        (BASE, {"kept": 1}, {"kept": 1}),  # theirs removed it, mine did not touch it
        ({**BASE, "shared": 2}, {"kept": 1}, {**BASE, "shared": 2}),
        ({**BASE, "shared": 2}, {**BASE, "shared": 3}, {**BASE, "shared": 2}),
        ({**BASE, "shared": None}, BASE, {**BASE, "shared": None}),
        ({}, {"t": 1, **BASE}, {"t": 1}),
    ],
)
def test_what_mine_changed_lies_over_theirs(
    mine: dict[str, Any], theirs: dict[str, Any], merged: dict[str, Any]
) -> None:
    given = dict(theirs)
    assert merge(BASE, mine, theirs, dumps) == merged
    assert theirs == given


def test_values_are_compared_as_they_are_stored() -> None:
    base, theirs = {"a": [1, 2], "n": {"x": 1}}, {"a": [3], "n": {"x": 2}}
    assert merge(base, {"a": (1, 2), "n": {"x": 1}}, theirs, dumps) == theirs
    assert merge(base, {"a": [1, 2], "n": {"x": 5}}, theirs, dumps) == {"a": [3], "n": {"x": 5}}
    # 1, 1.0 and True are equal to Python, and stored as three.
    assert merge({"n": 1}, {"n": True}, {"n": 1}, dumps) == {"n": True}
