"""What is answered where the store fails: 503, with the cookie as it was. An outage is no logout.

Django turns what an inner middleware raises into a 500 before any other middleware hears of it, and
logs it, and mails the admins, each time. A signal that it sends on the way says why, and a filter
keeps the log to one line in LOG_INTERVAL.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.utils.translation import gettext

from .exceptions import SessionStoreUnavailable

RETRY_AFTER = 5  # seconds, what clients are asked to wait
LOG_INTERVAL = 60.0  # seconds
TEMPLATE = "503.html"
_KNOWN = "_jam_sessions_outage"  # on a request that is on its way: None, or the store's failure

logger = logging.getLogger("django_jam_sessions")


class StoreUnavailable(HttpResponse):
    """503, from the site's 503.html where it has one."""

    status_code = 503
    _has_been_logged = True  # or Django logs it once per request

    def __init__(self, error: BaseException) -> None:
        headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
        text, content_type = _content(error)
        super().__init__(text, content_type=content_type, headers=headers)


def _content(error: BaseException) -> tuple[str, str]:
    if settings.DEBUG:
        return "\n\nbecause\n\n".join(_causes(error)), "text/plain; charset=utf-8"
    try:
        return render_to_string(TEMPLATE), "text/html; charset=utf-8"
    except TemplateDoesNotExist:
        text = gettext("This site can't do that at the moment. Please try again in a few seconds.")
        return text, "text/plain; charset=utf-8"


def _causes(error: BaseException | None) -> list[str]:
    """What went wrong, the last thing first: for developers, without what any frame holds."""
    found = []
    while error is not None:
        line = "%s: %s" % (type(error).__name__, error)
        if line not in found:
            found.append(line)
        error = error.__cause__
    return found


def is_outage(error: BaseException | None) -> bool:
    """Whether it tells of the store's failure, and where it is a group, of nothing else."""
    several = getattr(error, "exceptions", ())  # an asyncio.TaskGroup raises a group
    if several:
        return all(is_outage(each) for each in several)
    return isinstance(error, SessionStoreUnavailable)


def _first(error: BaseException) -> BaseException:
    several = getattr(error, "exceptions", ())
    return _first(several[0]) if several else error


def is_in_test() -> bool:
    """Whether this is called for an ``{% if %}`` of a template. Its operators take every exception
    for False, so that a page would tell a user that nobody is signed in."""
    frame = sys._getframe().f_back
    while frame is not None and frame.f_globals.get("__name__") != "django.template.smartif":
        frame = frame.f_back
    return frame is not None


# A request on its way


def watch(request: HttpRequest) -> None:
    """Learn from now on whether the store's failure makes a 500 of the request's answer."""
    setattr(request, _KNOWN, None)


def remember(request: HttpRequest, error: BaseException) -> None:
    if hasattr(request, _KNOWN):
        setattr(request, _KNOWN, error)


def is_behind(request: HttpRequest, error: Exception) -> bool:
    """Whether the store's failure is what led to ``error``."""
    if is_outage(error):
        remember(request, error)
    return getattr(request, _KNOWN, None) is not None


def answered(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """``response``; 503 in its place where it is an error that the store's failure has made, or a
    page that hides the failure."""
    error = request.__dict__.pop(_KNOWN, None)
    session: Any = getattr(request, "session", None)
    if getattr(session, "hides_failure", False):
        error = session.failure
    elif error is None or response.status_code < 500:
        return response
    outages.note(error, refused=1)
    return response if isinstance(response, StoreUnavailable) else StoreUnavailable(error)


def _on_exception(sender: object, request: HttpRequest | None = None, **kwargs: Any) -> None:
    error = sys.exc_info()[1]
    if request is not None and error is not None and is_outage(error):
        remember(request, error)


class _KnownOutages(logging.Filter):
    """Keeps from Django's log what ``outages`` says once."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (is_outage(error) and hasattr(getattr(record, "request", None), _KNOWN))


_filter = _KnownOutages()


def listen() -> None:
    """Hear of what Django makes of exceptions; as often as one likes."""
    got_request_exception.connect(_on_exception, dispatch_uid=_KNOWN)
    logging.getLogger("django.request").addFilter(_filter)


# The log


class Outages:
    """Logs that the store fails, once per LOG_INTERVAL and process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent_until = 0.0
        self._refused = 0  # since the last line

    def note(self, error: BaseException, refused: int = 0) -> None:
        """``refused``: how many requests were answered with 503 for it."""
        now = time.monotonic()
        with self._lock:
            self._refused += refused
            if now < self._silent_until:
                return
            self._silent_until = now + LOG_INTERVAL
            count, self._refused = self._refused, 0
        # Without the traceback: reports of it show what frames hold, ids among that.
        logger.error(
            "The store of the sessions fails: %s Requests answered with 503 since the last such "
            "line: %d.",
            _first(error),
            count,
        )


outages = Outages()
