"""What the package raises. No message ever holds a session id or session data."""


class JamSessionsError(Exception):
    """The root of every error of this package."""


class SessionNotFoundError(JamSessionsError, LookupError):
    """There is no such session: ended, expired, unknown, forged or malformed."""


class SessionStoreUnavailable(JamSessionsError):  # noqa: N818 - the name is public API
    """The store can't answer now. Nothing is known of the session: nobody is signed out."""
