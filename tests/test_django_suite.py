"""Django's own session tests over this engine: every backend, plain and encrypted.

``test_empty_session_saved`` alone is left out: it reads Django's database table.
"""

from __future__ import annotations

import unittest
from typing import Any

import django.test
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from sessions_tests import tests as django_tests

from django_jam_sessions.engine import SessionStore
from django_jam_sessions.middleware import SessionMiddleware


@pytest.fixture(autouse=True)
def _on_each_store(jam_settings: Any) -> None:
    """Every test below runs on every backend, plain and encrypted."""


def _methods(case: type) -> list[str]:
    names = unittest.TestLoader().getTestCaseNames(case)
    assert names
    return [name for name in names if name != "test_empty_session_saved"]


class EngineCase(django_tests.SessionTestsMixin, django.test.SimpleTestCase):
    backend = SessionStore


class MiddlewareCase(django_tests.SessionMiddlewareTests):
    pass


# pytest does not parametrize unittest's classes, so that each test is run by hand.


@pytest.mark.parametrize("name", _methods(EngineCase))
def test_session_store(name: str) -> None:
    _run(EngineCase(name))


@pytest.mark.django_db
@pytest.mark.parametrize("name", _methods(MiddlewareCase))
def test_session_middleware_of_django(name: str) -> None:
    _run(MiddlewareCase(name))


@pytest.mark.django_db
@pytest.mark.parametrize("name", _methods(MiddlewareCase))
def test_session_middleware_of_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django_tests, "SessionMiddleware", SessionMiddleware)
    _run(MiddlewareCase(name))


@pytest.mark.django_db
@pytest.mark.parametrize("name", _methods(MiddlewareCase))
def test_session_middleware_of_ours_on_an_event_loop(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's tests call blocking views: these run in a thread, the middleware does not."""

    def on_a_loop(get_response: Any) -> Any:
        middleware: Any = SessionMiddleware(sync_to_async(get_response))

        async def respond(request: Any) -> Any:
            return await middleware(request)

        return async_to_sync(respond)

    monkeypatch.setattr(django_tests, "SessionMiddleware", on_a_loop)
    _run(MiddlewareCase(name))


def _run(case: django.test.SimpleTestCase) -> None:
    result = unittest.TestResult()
    case(result)
    problems = [*result.failures, *result.errors]
    assert not problems, problems[0][1]
    assert result.testsRun == 1
    assert not result.skipped


for _case in (EngineCase, MiddlewareCase):
    _case.__test__ = False
