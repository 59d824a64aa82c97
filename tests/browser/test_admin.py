"""Staff see everybody's sessions and end them; who may only look can't."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import NewDevice
from .device import Device
from .test_walks import PAGE

KEYS = "admin:jam_sessions_key_changelist"
SURE = "Yes, I’m sure"  # noqa: RUF001  # as Django writes it


def rows(page: Page) -> Locator:
    return page.locator("#result_list tbody tr")


def open_key(device: Device, name: str) -> Page:
    """From the admin's first page to the sessions of that user, by its links."""
    page = device.visit("admin:index")
    page.get_by_role("main").get_by_role("link", name="Session keys").click()
    row = rows(page).filter(has=page.get_by_role("link", name=name, exact=True))
    row.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Sessions of %s" % name)).to_be_visible()
    return page


def ended(page: Page) -> None:
    expect(page.locator(".messagelist .success")).to_be_visible()


def all_signed_out(devices: list[Device]) -> None:
    for device in devices:
        device.visit(PAGE)
        device.is_at_login()


def test_staff_end_a_session_then_the_selected_then_all(walk: NewDevice) -> None:
    first, second, third, fourth = devices = [walk("ada") for _ in range(4)]
    staff = walk("grace")
    page = open_key(staff, "ada")
    expect(rows(page)).to_have_count(4)
    rows(page).last.get_by_role("link", name="End").click()
    staff.press(SURE)
    ended(page)
    expect(rows(page)).to_have_count(3)
    all_signed_out([first])
    rows(page).last.get_by_role("checkbox").check()
    page.get_by_role("combobox").select_option(label="End selected sessions")
    staff.press("Go")
    staff.press(SURE)
    ended(page)
    expect(rows(page)).to_have_count(2)
    all_signed_out([second])
    page.get_by_role("link", name="End all").click()
    staff.press(SURE)
    ended(page)
    all_signed_out([third, fourth])
    expect(rows(page)).to_have_count(1)  # the list of keys: grace's own
    page = staff.visit("admin:index")
    handles = page.locator("#recent-actions-module li")
    expect(handles).to_have_count(3)
    assert not any(secret in page.content() for each in devices for secret in each.secrets)


@pytest.fixture
def walk(new_device: NewDevice) -> NewDevice:
    """Makes a device and signs in on it."""

    def sign_in(name: str, **options: Any) -> Device:
        device = new_device(**options)
        device.sign_in(name)
        return device

    return sign_in
