"""The watch over the suite sees what it is there for."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from django_jam_sessions import SessionModule, codec
from django_jam_sessions.configured import configured
from django_jam_sessions.engine import SessionStore

from . import leaks
from .conftest import Face
from .leaks import Watch

logger = logging.getLogger("django_jam_sessions.test")


def echo(request: HttpRequest) -> HttpResponse:
    """What no view may do."""
    response = HttpResponse("")
    shown = request.GET["shown"]
    if request.GET["where"] == "error":
        raise LookupError(shown)
    if request.GET["where"] == "header":
        response.headers["Location"] = "/?" + shown
    else:
        response.content = "<p>%s</p>" % shown
    return response


def cookie(request: HttpRequest) -> HttpResponse:
    request.session["n"] = 1
    return HttpResponse()


urlpatterns = [path("echo/", echo), path("cookie/", cookie)]


@pytest.fixture
def watch() -> Iterator[Watch]:
    with leaks.watching() as found:
        yield found


@pytest.fixture
def secret(watch: Watch) -> str:
    return codec.issue(codec.random_locator(), codec.ENGINE).id


def logged(shown: str) -> None:
    logger.warning(shown)


def logged_where_nobody_sees_it(shown: str) -> None:
    """A site may turn it on."""
    logger.debug(shown)


def logged_as_an_argument(shown: str) -> None:
    logger.warning("%s", {"a": [shown]})


def logged_as_an_extra(shown: str) -> None:
    logger.warning("x", extra={"more": shown})


def logged_with_an_error(shown: str) -> None:
    try:
        raise KeyError(shown)
    except KeyError:
        logger.exception("x")


def logged_with_the_cause_of_an_error(shown: str) -> None:
    try:
        try:
            raise KeyError(shown)
        except KeyError as error:
            raise ValueError("x") from error
    except ValueError:
        logger.exception("x")


def warned_of(shown: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn(shown, stacklevel=1)


@pytest.mark.parametrize(
    "show",
    [
        logged,
        logged_where_nobody_sees_it,
        logged_as_an_argument,
        logged_as_an_extra,
        logged_with_an_error,
        logged_with_the_cause_of_an_error,
        warned_of,
    ],
)
def test_what_shows_an_id_is_seen(watch: Watch, secret: str, show: Callable[[str], None]) -> None:
    show("nothing")
    show("0" * 60)
    assert watch.found == []
    show(secret)
    assert watch.found
    watch.found.clear()
    show("<%s>" % secret[codec.LOCATOR_LENGTH :])  # which is all that the store does not know
    assert watch.found


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("where", ["body", "header", "error"])
@pytest.mark.urls(__name__)
def test_a_view_that_shows_an_id_is_seen(
    watch: Watch, secret: str, client: Any, where: str
) -> None:
    for shown, is_leak in (("x", False), (secret, True)):
        ask(client(raise_request_exception=False), "/echo/", {"where": where, "shown": shown})
        assert bool(watch.found) is is_leak


def ask(client: Any, url: str, query: dict[str, str] | None = None) -> Any:
    from asgiref.sync import async_to_sync

    async def aget() -> Any:
        return await client.get(url, query)

    return async_to_sync(aget)() if isinstance(client, AsyncClient) else client.get(url, query)


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.urls(__name__)
def test_a_cookie_is_where_an_id_belongs(watch: Watch, client: Any, jam_settings: Any) -> None:
    response = ask(client(), "/cookie/")
    assert response.cookies["sessionid"].value[-codec.SECRET_LENGTH :] in watch.secrets
    assert watch.found == []


def test_an_operation_that_raises_an_id_is_seen(
    watch: Watch, module: SessionModule, call: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: Any, session_id: str, issuer: bytes) -> Any:
        raise RuntimeError(session_id)
        yield

    session_id = call(module, "create", "5", {})
    monkeypatch.setattr(type(module.operations), "load", load)
    assert watch.found == []
    with pytest.raises(RuntimeError):
        call(module, "get", session_id)
    assert len(watch.found) == 2  # its text, and its arguments


def test_what_is_logged_for_nobody_stays_unseen(
    watch: Watch, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    logged_where_nobody_sees_it(secret)
    assert watch.found
    assert caplog.records == []


def test_an_object_that_shows_an_id_is_seen(
    watch: Watch, module: SessionModule, call: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = call(module, "create", "5", {})
    call(module, "list", "5")
    assert watch.found == []
    info = type(call(module, "list", "5")[0])
    monkeypatch.setattr(info, "__repr__", lambda self: "<SessionInfo %s>" % session_id)
    call(module, "list", "5")
    assert watch.found


def test_the_ids_of_every_face_are_remembered(watch: Watch, jam_settings: Any, call: Face) -> None:
    store = SessionStore()
    call(store, "save")
    ids = [store.session_key, call(configured.current(), "create", "5", {})]
    ids.append(call(configured.current(), "rework", ids[-1]))
    call(store, "cycle_key")
    ids.append(store.session_key)
    assert {str(each)[-codec.SECRET_LENGTH :] for each in ids} <= watch.secrets


def test_session_data_that_is_logged_is_seen(watch: Watch) -> None:
    """Every session of somebody who signed in holds this hash."""
    user = get_user_model()(username="ada", password="x")
    logger.warning("%s", {"_auth_user_hash": user.get_session_auth_hash()})
    assert watch.found
