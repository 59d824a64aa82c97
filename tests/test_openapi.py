"""docs/openapi.json and the views agree: schemathesis asks the one what the other says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from django_jam_sessions import api_urls, sessions
from django_jam_sessions.api.endpoints import PERMISSIONS

from .api_site import DOCS, TOKEN, Caller, make_user, use

pytestmark = pytest.mark.django_db

DOCUMENT = json.loads((DOCS / "openapi.json").read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SITE = "http://127.0.0.1/api"
SERVICE = {"Authorization": "Bearer %s" % TOKEN}

some = hypothesis_settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """The site, as the settings of the test have it."""
    return WSGIHandler()(environ, start_response)


SCHEMA.app = application


@pytest.fixture(autouse=True)
def site(settings: Any, tmp_path: Path) -> None:
    use(settings)
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "sessions"}
    make_user("billing", *PERMISSIONS)
    make_user("ada")


def ask(case: Any, **options: Any) -> Any:
    excluded = [ignored_auth]  # it takes SERVICE for made up: the last test here makes tokens up
    if "cursor" in (case.query or {}):
        excluded.append(positive_data_acceptance)  # however well made, it was not returned
    return case.call_and_validate(base_url=SITE, excluded_checks=excluded, **options)


def browser() -> dict[str, Any]:
    """What a browser in which ada is signed in sends."""
    ada = Caller(False, get_user_model().objects.get(username="ada"))
    return {
        "headers": {"X-CSRFToken": "t" * 32},
        "cookies": {"sessionid": ada.id, "csrftoken": "t" * 32},
    }


@SCHEMA.include(path_regex="^/store/").parametrize()
@some
def test_a_service_gets_what_the_document_says(case: Any) -> None:
    ask(case, headers=SERVICE)


@SCHEMA.include(path_regex="^/store/").parametrize()
@some
def test_a_session_that_is_there_is_served_so_too(case: Any) -> None:
    session_id = sessions.sync.create("17", {"a": 1})
    ask(case, headers={**SERVICE, "Session-Id": session_id})


@SCHEMA.include(path_regex="^/sessions/").parametrize()
@some
def test_a_browser_gets_what_the_document_says(case: Any) -> None:
    ask(case, **browser())


@SCHEMA.parametrize()
@some
def test_who_is_not_signed_in_gets_nothing(case: Any) -> None:
    assert case.call_and_validate(base_url=SITE).status_code in (401, 405)


def test_the_document_names_every_url_and_method() -> None:
    views: dict[str, Any] = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", "/%s" % pattern.pattern): pattern.callback
        for pattern in api_urls.urlpatterns
        if pattern.name
    }
    documented = {
        path: {name.upper() for name in item if name != "parameters"}
        for path, item in DOCUMENT["paths"].items()
    }
    assert documented == {path: set(view.methods) for path, view in views.items()}


def test_the_page_of_the_docs_names_every_url() -> None:
    page = (DOCS / "api.md").read_text()
    for path in DOCUMENT["paths"]:
        url = path[1:].replace("{session_key}", "<session key>")
        assert "`%s`" % re.sub(r"{(\w+)}", r"<\1>", url) in page
