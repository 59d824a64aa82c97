"""Session keys as people can read them."""

from __future__ import annotations


def printable(text: str) -> str:
    """A key may hold anything: control characters, marks that turn a line around, mere blanks."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if shown == shown.strip() else "'%s'" % shown
