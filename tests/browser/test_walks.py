"""Two devices of one user, on every backend, under both kinds of server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from .conftest import NewDevice
from .site import Site


@pytest.fixture
def options(each_store: dict[str, Any]) -> dict[str, Any]:
    return each_store


@pytest.fixture
def server(each_server: str) -> str:
    return each_server


def test_home(new_device: NewDevice) -> None:
    first, second = new_device(), new_device()
    for device in (first, second):
        device.sign_in("ada")
        expect(device.page.get_by_role("heading", name="Signed in as ada")).to_be_visible()
    first.page.reload()
    first.page.get_by_role("button", name="End", exact=True).click()
    second.page.reload()
    expect(second.page.get_by_role("heading", name="Not signed in")).to_be_visible()


def test_a_restart_of_the_server_signs_nobody_out(site: Site, new_device: NewDevice) -> None:
    device = new_device()
    device.sign_in("ada")
    site.restart()
    device.page.reload()
    expect(device.page.get_by_role("heading", name="Signed in as ada")).to_be_visible()
