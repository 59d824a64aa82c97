"""Server-side sessions grouped by key, for Django."""

from .configured import sessions
from .exceptions import (
    JamSessionsError,
    SessionDataTooLarge,
    SessionLimitReached,
    SessionNotFoundError,
    SessionStoreUnavailable,
)
from .infos import KeyInfo, Page, SessionInfo
from .module import SessionModule

__all__ = [
    "JamSessionsError",
    "KeyInfo",
    "Page",
    "SessionDataTooLarge",
    "SessionInfo",
    "SessionLimitReached",
    "SessionModule",
    "SessionNotFoundError",
    "SessionStoreUnavailable",
    "sessions",
]

__version__ = "0.1.0"
