"""The pictures in the documentation. ``make screenshots`` draws them anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize

from .conftest import NewDevice
from .device import Device
from .looks import NARROW, WIDE, Scheme, show
from .site import ROOT, Site
from .test_admin import KEYS, open_key
from .test_walks import PAGE

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 150_000
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PAGES: dict[str, tuple[str, Callable[[Device], Page]]] = {
    "sessions": ("ada", lambda device: device.visit(PAGE)),
    "admin-keys": ("grace", lambda device: device.visit(KEYS)),
    "admin-sessions": ("grace", lambda device: open_key(device, "ada")),
}
LOOKS: dict[str, tuple[Scheme, ViewportSize]] = {
    "": ("light", WIDE),
    "-dark": ("dark", WIDE),
    "-narrow": ("light", NARROW),
}


@pytest.fixture
def site(stopped: Site) -> Iterator[Site]:
    stopped.run("tests.browser.past")
    stopped.start()
    yield stopped
    stopped.stop()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    given = os.environ.get("SCREENSHOTS")
    return ROOT / given if given else tmp_path


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_light_dark_and_narrow(
    name: str, directory: Path, new_device: NewDevice
) -> None:
    person, open_page = PAGES[name]
    device = new_device(user_agent=LINUX)
    device.sign_in(person)
    page = open_page(device)
    for look, (scheme, size) in LOOKS.items():
        show(page, scheme, size)
        picture = directory / ("%s%s.png" % (name, look))
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size < MOST_BYTES


def test_the_pictures_are_there_and_small() -> None:
    expected = {"%s%s.png" % (name, look) for name in PAGES for look in LOOKS}
    found = {path.name: path.stat().st_size for path in IMAGES.iterdir()}
    assert set(found) == expected
    assert max(found.values()) < MOST_BYTES
