"""Two writers of one session: the three-way merge of its top-level keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def merge(
    base: dict[str, Any],
    mine: dict[str, Any],
    theirs: dict[str, Any],
    dumps: Callable[[Any], bytes],
) -> dict[str, Any]:
    """``theirs`` with what ``mine`` changed against ``base`` laid over it.

    A deletion is a change. Values are compared as they are stored: a tuple is its list, and a value
    changed in place differs. What is the same in ``theirs`` stays the object that ``mine`` holds:
    a view may be changing it.
    """
    merged = dict(theirs)
    for key in base.keys() - mine.keys():
        merged.pop(key, None)
    for key, value in mine.items():
        stored = dumps(value)
        is_changed = key not in base or dumps(base[key]) != stored
        if is_changed or (key in theirs and dumps(theirs[key]) == stored):
            merged[key] = value
    return merged
