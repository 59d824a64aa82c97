"""How long sessions last, and how many a key may have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from .backends.base import Limit

MaxSessions = int | Callable[[str], int | None] | None
LONGEST_TTL = 10**11  # seconds: 3,000 years; dates end in the year 9999
END_OLDEST, REFUSE = "end_oldest", "refuse"


class Policy(NamedTuple):
    absolute_ttl: int | None = None  # milliseconds from the sign-in
    max_sessions: MaxSessions = None
    ends_oldest: bool = True

    def absolute(self, session_key: str | None, now: int) -> int:
        """When a session ends however much it is used, 0 for never: nobody's has no such end."""
        return 0 if self.absolute_ttl is None or session_key is None else now + self.absolute_ttl

    def limit(self, session_key: str | None) -> Limit | None:
        """None where there is none; nobody's sessions have none."""
        if self.max_sessions is None or session_key is None:
            return None
        given = self.max_sessions
        number = check_number(given(session_key)) if callable(given) else given
        return None if number is None else Limit(number, self.ends_oldest)


POLICY = {"absolute_ttl": None, "max_sessions_per_key": None, "limit_policy": END_OLDEST}
"""The arguments of policy(), with what they are when left out."""


def policy(absolute_ttl: Any, max_sessions_per_key: Any, limit_policy: Any) -> Policy:
    """Raises ImproperlyConfigured, as each of these does."""
    ttl = check_ttl(absolute_ttl, "absolute_ttl")
    return Policy(
        None if ttl is None else round(ttl * 1000),
        check_max_sessions(max_sessions_per_key),
        check_limit_policy(limit_policy) == END_OLDEST,
    )


def check_ttl(ttl: Any, name: str = "session_ttl") -> float | None:
    """``ttl`` where it is a number of seconds or None."""
    is_number = isinstance(ttl, int | float) and not isinstance(ttl, bool)
    if ttl is None or (is_number and 0 < ttl <= LONGEST_TTL):
        return ttl  # type: ignore[no-any-return]  # narrowed by is_number
    text = "%s must be a number of seconds above 0, at most 10**11, or None."
    raise ImproperlyConfigured(text % name)


def check_max_bytes(size: Any) -> float:
    """``size``, infinity for None; raises ImproperlyConfigured for what is no number of bytes."""
    if size is None:
        return math.inf
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    raise ImproperlyConfigured("max_data_bytes must be a number of bytes above 0, or None.")


def check_max_sessions(number: Any) -> MaxSessions:
    """``number`` where it is one of sessions, None, or a function of a session key."""
    return number if callable(number) else check_number(number)


def check_number(number: Any) -> int | None:
    is_number = isinstance(number, int) and not isinstance(number, bool)
    if number is None or (is_number and number > 0):
        return number  # type: ignore[no-any-return]  # narrowed by is_number
    raise ImproperlyConfigured("max_sessions_per_key must be a number above 0, or None.")


def check_limit_policy(name: Any) -> str:
    if name in (END_OLDEST, REFUSE):
        return str(name)
    raise ImproperlyConfigured("limit_policy must be %r or %r." % (END_OLDEST, REFUSE))
