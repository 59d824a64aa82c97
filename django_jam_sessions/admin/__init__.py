"""Sessions in Django's admin: the keys that have some, and the sessions of one key."""

from .keys import KeyAdmin
from .sessions import SessionAdmin
from .users import SessionsLinkMixin

__all__ = ["KeyAdmin", "SessionAdmin", "SessionsLinkMixin"]
