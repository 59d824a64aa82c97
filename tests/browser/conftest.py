"""A site, a browser, and devices that people hold. Each test has a site of its own."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from ..stores import STORES, options_of
from .device import Device
from .site import SERVERS, Site

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NewDevice = Callable[..., Device]
EVERYWHERE = pytest.mark.parametrize(
    ("options", "server"), [*itertools.product(STORES, SERVERS)], indirect=True
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, from the PATH or where CHROMIUM says. Without one the suite fails."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program, "There is no chromium on the PATH: install it, or set CHROMIUM to its path."
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, headless=True, args=ARGUMENTS)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the site's people in it, to be copied."""
    directory = tmp_path_factory.mktemp("people")
    Site(directory, {"sessions_type": "json"}).run("tests.browser.people")
    return directory / "db.sqlite3"


@pytest.fixture
def options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """SessionModule's arguments: for JSON, but EVERYWHERE; on Redis sealed, as in the README."""
    store = getattr(request, "param", "json")
    if store != "redis":
        return options_of(store, tmp_path, "", "")
    redis_uri, prefix = map(request.getfixturevalue, ("redis_uri", "prefix"))
    return {**options_of(store, tmp_path, redis_uri, prefix), "is_session_crypt": True}


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", "uvicorn")


@pytest.fixture
def stopped(database: Path, tmp_path: Path, options: dict[str, Any], server: str) -> Site:
    """A site that is not running yet."""
    shutil.copy(database, tmp_path)
    return Site(tmp_path, options, server)


@pytest.fixture
def site(stopped: Site) -> Iterator[Site]:
    stopped.start()
    yield stopped
    stopped.stop()


@pytest.fixture
def new_device(site: Site, browser: Browser) -> Iterator[NewDevice]:
    """Makes browser contexts: cookie jars of their own. The site fails none, and logs no id."""
    devices: list[Device] = []

    def make(**options: Any) -> Device:
        devices.append(Device(browser.new_context(base_url=site.url, **options)))
        return devices[-1]

    yield make
    for device in devices:
        device.close()
    log = site.log.read_text()
    assert not [trouble for device in devices for trouble in device.troubles]
    assert not [secret for device in devices for secret in device.secrets if secret in log]
