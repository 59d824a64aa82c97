"""How long one waits for a store that does not answer: the timeouts, and what is left of them."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

LEAST = 0.05  # seconds: with less there is no use in asking again, and no call has less

A_DAY = 86_400  # seconds


class Timeouts(NamedTuple):
    """Seconds, and how often a call whose reply was lost is made again."""

    connect: float = 1.0
    read: float = 1.0
    total: float = 2.0  # what a request may lose by attempts that fail
    retries: int = 1


DEFAULTS = Timeouts()
NAMES = ("connect_timeout", "read_timeout", "total_timeout", "retries")


def timeouts(given: dict[str, Any]) -> Timeouts:
    """Those of NAMES that are given; raises ImproperlyConfigured for what is no number of seconds
    above 0, or of retries."""
    connect, read, total, retries = (
        given.get(name, default) for name, default in zip(NAMES, DEFAULTS, strict=True)
    )
    for name, value in zip(NAMES, (connect, read, total), strict=False):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value <= A_DAY):
            text = "%s must be a number of seconds above 0, at most 86400."
            raise ImproperlyConfigured(text % name)
    if isinstance(retries, bool) or retries not in (0, 1):
        raise ImproperlyConfigured("retries must be 0 or 1.")
    return Timeouts(connect, read, total, retries)


class Patience:
    """Of one request, whose calls share one total. Outside of requests each call has its own."""

    lost = 0.0  # seconds that failed attempts have taken


_current: ContextVar[Patience | None] = ContextVar("patience", default=None)


def begin() -> Token[Patience | None]:
    """All calls until end() share one total."""
    return _current.set(Patience())


def end(token: Token[Patience | None]) -> None:
    _current.reset(token)


def left(total: float) -> float:
    """Seconds that a call may take now."""
    patience = _current.get()
    return total if patience is None else max(total - patience.lost, LEAST)


def is_whole() -> bool:
    """Whether no attempt of this request has failed."""
    patience = _current.get()
    return patience is None or patience.lost == 0


def lose(seconds: float) -> None:
    """An attempt failed, and took that long."""
    patience = _current.get()
    if patience is not None:
        patience.lost += seconds
