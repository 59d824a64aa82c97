"""docs/security.md names every requirement, and no test, setting or check that is not there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from django.conf import global_settings

from django_jam_sessions.conf import NAMES

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "security.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|") and not line.startswith("|---")
]
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")

# ASVS 5.0.0: how many requirements each section of V7 has.
REQUIREMENTS = {"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2}
OF_DJANGO = (
    *("CSRF_", "SECRET_KEY", "SECURE_"),
    *("SESSION_COOKIE_", "SESSION_EXPIRE", "SESSION_SERIALIZER"),
)


@cache
def functions_in(name: str) -> set[str]:
    tree = ast.parse((TESTS / name).read_text())
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_that_is_named_is_there() -> None:
    named = TEST.findall(TEXT)
    assert len(named) > 100
    for file, test in named:
        assert test.startswith("test_")
        assert test in functions_in(file), (file, test)
    assert TEXT.count("::") == len(named)  # none is named in another form


def test_every_requirement_of_the_chapter_is_answered_once() -> None:
    numbers = [row[0] for row in ROWS if re.fullmatch(r"7\.\d\.\d", row[0])]
    assert numbers == [
        "%s.%d" % (section, number)
        for section, count in REQUIREMENTS.items()
        for number in range(1, count + 1)
    ]


def test_what_no_test_shows_is_the_sites() -> None:
    heads = [row for row in ROWS if row[-1] == "shown by"]
    assert len(heads) == 4
    for row in ROWS:
        if row not in heads:
            assert TEST.search(row[-1]) or (row[-1] == "\N{EN DASH}" and "The site" in row[-2]), row


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", TEXT)) - {"JAM_SESSIONS"}
    of_django = {name for name in named if name.startswith(OF_DJANGO)}
    for name in of_django:
        assert hasattr(global_settings, name), name
    assert named - of_django <= set(NAMES)


def test_every_check_that_is_named_exists() -> None:
    settings = (TESTS.parent / "docs" / "settings.md").read_text()
    for check_id in re.findall(r"(?<!security\.)\b[EWI]\d{3}\b", TEXT):
        assert check_id in settings
