"""What docs/security.md claims and no other test shows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "django_jam_sessions"
SOURCES = sorted(PACKAGE.rglob("*.py"))

SECRETS = {"session_id", "new_id", "secret", "secrets", "password", "token", "csrf_token"}


def is_secret(node: ast.expr) -> bool:
    """Whether that may be an id, a secret or a password, by its name."""
    if isinstance(node, ast.Attribute):
        # An "id" is a session's, but for those of secrets, which are public.
        return node.attr in SECRETS or (node.attr == "id" and "secret" not in ast.unparse(node))
    return isinstance(node, ast.Name) and node.id in SECRETS


def compared(source: str) -> list[str]:
    """The comparisons of secrets that are over sooner the sooner these differ."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and any(is_secret(side) for side in (node.left, *node.comparators))
    ]


def test_no_secret_is_compared_in_a_time_that_tells_of_it() -> None:
    """Sessions are found by a hash, seals are checked by cryptography, passwords by Django."""
    assert compared("session_id == x\nx != self.stored.id\na == password\nhash != token") != []
    assert compared("secret.id == x\nlen(secret) == 32\nplace == other") == []
    for path in SOURCES:
        assert compared(path.read_text()) == [], path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_that_is_read_can_become_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [node.func.id]
        assert not {"pickle", "marshal", "shelve", "yaml", "eval", "exec"} & set(names), (
            ast.unparse(node)
        )
