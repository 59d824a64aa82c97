"""Hostile input, at every place where some comes in: a module for each, with ``one_input()``.

``make fuzz`` lets atheris make the input up, guided by coverage. ``tests/test_fuzz_corpus.py``
replays what was found worth keeping, in ``corpus/``: there a line is an input, as a bytes literal.

It lies within the tests for it is theirs: it uses their settings, and they replay it.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

TARGETS = [
    "bodies",
    "clients",
    "cookies",
    "cursors",
    "documents",
    "ids",
    "keyrings",
    "metas",
    "records",
]
CORPUS = Path(__file__).parent / "corpus"


def kept(target: str) -> list[bytes]:
    """The inputs of ``target`` in the repository."""
    lines = (CORPUS / (target + ".txt")).read_text().splitlines()
    return [ast.literal_eval(line) for line in lines if line and not line.startswith("#")]


def text(data: bytes) -> str:
    """``data`` as a str that may hold anything: bytes that are no UTF-8 are lone surrogates."""
    return data.decode(errors="surrogateescape")


def spliced(data: bytes, genuine: Sequence[bytes]) -> bytes:
    """What follows the first byte where that is 0; else one of ``genuine``, of which a part, that
    the next four bytes name, is replaced by the rest."""
    if len(data) < 5 or data[0] == 0:
        return data[1:]
    whole = genuine[data[0] % len(genuine)]
    start, end = int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")
    return whole[:start] + data[5:] + whole[end:]
