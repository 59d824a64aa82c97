"""Where a session id, or session data, must not be: a watch that sees it there.

While a test runs, every id that is issued in this process is remembered, and every hash of a
password that Django puts into a session's data. They are looked for in whatever is logged, warned
of, raised by a session's operation or a view, returned by a session's operation as an object, or
sent by a view. An id's last part is looked for: it is the secret, and with the handle it makes an
id.

Where an id belongs is no leak: the headers Set-Cookie and Session-Id, the ``session_id`` that the
API answers ``create`` and ``rework`` with, and the str that these return.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.signals import got_request_exception
from django.test import AsyncClient, Client

from django_jam_sessions import codec, engine, module
from django_jam_sessions.codec import SECRET_LENGTH, Issued, Place

_RUN = re.compile(r"[0-9a-z]{%d,}" % SECRET_LENGTH)
_HEADERS = {"set-cookie", "session-id"}
_ANSWERS = {"api-store", "api-rework"}  # URLs that answer with an id


class Watch:
    """What must not be shown, and where it was."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.found: list[str] = []

    def remember(self, secret: str) -> None:
        self.secrets.add(secret[-SECRET_LENGTH:])

    def look(self, where: str, shown: object) -> None:
        text = shown if isinstance(shown, str) else repr(shown)
        if self.secrets and any(self._is_secret(run) for run in _RUN.findall(text)):
            self.found.append("%s: %s" % (where, text[:300]))

    def _is_secret(self, run: str) -> bool:
        ends = range(SECRET_LENGTH, len(run) + 1)
        return any(run[end - SECRET_LENGTH : end] in self.secrets for end in ends)

    def look_at_error(self, error: BaseException | None) -> None:
        """The text of an exception and of those that it came from; no source lines."""
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            where = type(error).__name__
            for shown in (str(error), error.args, getattr(error, "__notes__", ())):
                self.look(where, shown)
            error = error.__cause__ or error.__context__

    def look_at_record(self, record: logging.LogRecord) -> None:
        where = "the logger " + record.name
        self.look(where, record.getMessage())
        for name, value in vars(record).items():  # args, and extras such as the request
            self.look("%s, %s" % (where, name), value)
        if record.exc_info:
            self.look_at_error(record.exc_info[1])

    def look_at_response(self, response: Any) -> None:
        where = "the response to " + str(response.request.get("PATH_INFO", response.request))
        for name, value in response.headers.items():
            if name.lower() not in _HEADERS:
                self.look("%s, %s" % (where, name), value)
        if not response.streaming and not _is_answer(response):
            self.look(where, response.content.decode(errors="replace"))


def _is_answer(response: Any) -> bool:
    """Whether the API says there what id a session has."""
    if getattr(response.resolver_match, "url_name", None) not in _ANSWERS:
        return False
    try:
        return set(json.loads(response.content)) == {"session_id"}
    except ValueError:
        return False


_watches = [Watch()]


@contextmanager
def watching() -> Iterator[Watch]:
    """A watch for what happens from now on, in the place of any other."""
    watch = Watch()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)


def install(patch: pytest.MonkeyPatch) -> None:
    """Look everywhere, until the patch is undone."""

    def wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
        old = getattr(owner, name)
        patch.setattr(owner, name, functools.wraps(old)(wrapper(old)))

    patch.setattr(codec, "Issued", _issued)
    wrap(AbstractBaseUser, "get_session_auth_hash", _hashing)
    wrap(logging.Logger, "handle", _handling)
    wrap(logging.Logger, "isEnabledFor", _enabling)
    wrap(warnings, "warn", _warning)
    wrap(Client, "request", _requesting)
    wrap(AsyncClient, "request", _arequesting)
    for user in (engine, module):  # their operations are steps
        wrap(user, "run", _running)
        wrap(user, "arun", _arunning)
    got_request_exception.connect(_raised)  # to the end: it harms nobody


def _issued(session_id: str, place: Place) -> Issued:
    issued = Issued(session_id, place)
    _watches[-1].remember(session_id)
    _watches[-1].look("the repr of an Issued", issued)
    return issued


def _hashing(old: Any) -> Any:
    def get_session_auth_hash(user: Any) -> str:
        found: str = old(user)
        _watches[-1].remember(found)
        return found

    return get_session_auth_hash


def _enabling(old: Any) -> Any:
    def is_enabled_for(logger: logging.Logger, level: int) -> bool:
        return _is_ours(logger) or old(logger, level)

    return is_enabled_for


def _handling(old: Any) -> Any:
    is_enabled_for = logging.Logger.isEnabledFor

    def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
        """What nobody would see, a site may turn on: it is looked at, and then dropped."""
        _watches[-1].look_at_record(record)
        if not _is_ours(logger) or is_enabled_for(logger, record.levelno):
            old(logger, record)

    return handle


def _is_ours(logger: logging.Logger) -> bool:
    return logger.name.startswith("django_jam_sessions")


def _warning(old: Any) -> Any:
    def warn(message: Any, *args: Any, **kwargs: Any) -> None:
        _watches[-1].look("a warning", str(message))
        kwargs["stacklevel"] = kwargs.pop("stacklevel", 1) + 1
        old(message, *args, **kwargs)

    return warn


def _requesting(old: Any) -> Any:
    def request(client: Client, **options: Any) -> Any:
        response = old(client, **options)
        _watches[-1].look_at_response(response)
        return response

    return request


def _arequesting(old: Any) -> Any:
    async def request(client: AsyncClient, **options: Any) -> Any:
        response = await old(client, **options)
        _watches[-1].look_at_response(response)
        return response

    return request


def _running(old: Any) -> Any:
    def run(target: object, operation: Any) -> Any:
        with _looking():
            return _returned(old(target, operation))

    return run


def _arunning(old: Any) -> Any:
    async def arun(target: object, operation: Any) -> Any:
        with _looking():
            return _returned(await old(target, operation))

    return arun


@contextmanager
def _looking() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _watches[-1].look_at_error(error)
        raise


def _returned(result: Any) -> Any:
    # A str is the id that was asked for, a dict the data.
    if not isinstance(result, str | dict):
        _watches[-1].look("the repr of what was returned", result)
    return result


def _raised(**kwargs: Any) -> None:
    _watches[-1].look_at_error(sys.exc_info()[1])
