"""Staff see everybody's sessions and end them; who may only look can't."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from .conftest import EVERYWHERE, NewDevice
from .device import Device
from .looks import looks_right, reachable_by_keyboard
from .test_looks import HOSTILE
from .test_walks import PAGE

KEYS = "admin:jam_sessions_key_changelist"
# Of axe's rules, what Django's own templates break: a search field that has a help text, and
# breadcrumbs whose links are shorter than the rest.
DJANGOS = {"label-title-only", "link-in-text-block"}
SURE = "Yes, I’m sure"  # noqa: RUF001  # as Django writes it


def rows(page: Page) -> Locator:
    return page.locator("#result_list tbody tr")


def open_key(device: Device, name: str) -> Page:
    """From the admin's first page to the sessions of that user, by its links."""
    page = device.visit("admin:index")
    page.get_by_role("main").get_by_role("link", name="Session keys").click()
    row = rows(page).filter(has=page.get_by_role("cell", name=name, exact=True))
    row.locator("th").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Sessions of %s" % name)).to_be_visible()
    return page


def ended(page: Page) -> None:
    expect(page.locator(".messagelist .success")).to_be_visible()


def all_signed_out(devices: list[Device]) -> None:
    for device in devices:
        device.visit(PAGE)
        device.is_at_login()


@pytest.fixture
def sign_in(new_device: NewDevice) -> NewDevice:
    """Makes a device and signs in on it."""

    def make(name: str, **options: Any) -> Device:
        device = new_device(**options)
        device.sign_in(name)
        return device

    return make


@EVERYWHERE
def test_staff_end_a_session_then_the_selected_then_all(sign_in: NewDevice) -> None:
    first, second, third, fourth = devices = [sign_in("ada") for _ in range(4)]
    staff = sign_in("grace")
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


def test_who_may_only_look_sees_the_sessions_and_ends_none(sign_in: NewDevice) -> None:
    other, viewer = sign_in("ada"), sign_in("vera")
    page = open_key(viewer, "ada")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("link", name="End")).to_have_count(0)
    expect(page.get_by_role("combobox")).to_have_count(0)
    rows(page).locator("th").get_by_role("link").click()
    expect(page.get_by_text("127.0.0.1")).to_be_visible()
    expect(page.get_by_text("Data", exact=True)).to_have_count(0)
    answer = page.goto(page.url.replace("/change/", "/delete/"))
    assert answer is not None
    assert answer.status == 403
    other.visit(PAGE)
    expect(other.heading("Your sessions")).to_be_visible()


def test_other_staff_see_nothing_of_sessions(sign_in: NewDevice) -> None:
    other = sign_in("otto")
    page = other.visit("admin:index")
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    expect(page.get_by_role("link", name="Session keys")).to_have_count(0)
    for query in ("", "?q=ada"):
        answer = page.goto(reverse(KEYS) + query)
        assert answer is not None
        assert answer.status == 403


def test_the_pages_look_right(sign_in: NewDevice) -> None:
    """The list of keys, one key's sessions, one session, and what asks whether one is sure."""
    sign_in("ada", user_agent=HOSTILE)
    staff = sign_in("grace")
    page = staff.visit(KEYS)
    looks_right(page, but=DJANGOS)
    reachable_by_keyboard(page)
    open_key(staff, "ada")
    looks_right(page, but=DJANGOS)
    reachable_by_keyboard(page)
    rows(page).locator("th").get_by_role("link").click()
    expect(page.get_by_role("heading", name="View session")).to_be_visible()
    looks_right(page, but=DJANGOS)
    page.go_back()
    page.get_by_role("link", name="End all").click()
    expect(page.get_by_role("button", name=SURE)).to_be_visible()
    looks_right(page, but=DJANGOS)
