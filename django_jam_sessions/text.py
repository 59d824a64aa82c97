"""Session keys and times as people can read them."""

from __future__ import annotations

from datetime import datetime

from django.utils.formats import localize
from django.utils.timezone import localtime

NO_BREAK = "\N{NO-BREAK SPACE}"


def printable(text: str) -> str:
    """A key may hold anything: control characters, marks that turn a line around, mere blanks."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if shown == shown.strip() else "'%s'" % shown


def readable_time(moment: datetime) -> str:
    """Text that may wrap before the time of day, and nowhere else.

    A datetime in a list may not wrap, which leaves other columns no room; and where any text may,
    a narrow column has a line for each word.
    """
    local = localtime(moment)
    text, time = (str(localize(each)).replace(" ", NO_BREAK) for each in (local, local.time()))
    return text.replace(NO_BREAK + time, " " + time)


def zoned_time(moment: datetime) -> str:
    """readable_time(), and the name of its zone: "UTC", "CET", or "-03" of one that has none."""
    return "%s%s%s" % (readable_time(moment), NO_BREAK, localtime(moment).tzname())
