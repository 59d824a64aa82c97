"""What the package raises. No message ever holds a session id or session data."""

from django.core.exceptions import PermissionDenied


class JamSessionsError(Exception):
    """The root of every error of this package."""


class SessionNotFoundError(JamSessionsError, LookupError):
    """There is no such session: ended, expired, unknown, forged or malformed."""


class SessionDataTooLarge(JamSessionsError, ValueError):  # noqa: N818 - the name is public API
    """The data, as JSON, is over the limit of the settings. Nothing was stored."""

    def __init__(self, size: int, limit: float) -> None:
        super().__init__(
            "The session's data is %d bytes of JSON, and MAX_DATA_BYTES is %d." % (size, limit)
        )


class SessionLimitReached(JamSessionsError, PermissionDenied):  # noqa: N818 - public API
    """The key has MAX_SESSIONS_PER_KEY sessions and LIMIT_POLICY is "refuse": no more were stored.

    Django answers it with 403.
    """

    def __init__(self) -> None:
        super().__init__("There are as many sessions of this key as MAX_SESSIONS_PER_KEY allows.")


class SessionStoreUnavailable(JamSessionsError):  # noqa: N818 - the name is public API
    """The store can't answer now. Nothing is known of the session: nobody is signed out."""
