""" "Your sessions" on several devices, on every backend, under both kinds of server."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from ..stores import STORES
from .conftest import EVERYWHERE, NewDevice
from .site import Site

PAGE = "jam_sessions:list"
END = re.compile("^End the session of ")
OTHERS = "End all other sessions"
ALL = "End all sessions, this one too"


@EVERYWHERE
def test_one_device_ends_another_then_all_others_then_all(new_device: NewDevice) -> None:
    mine, phone, lost = new_device(), new_device(), new_device()
    for device in (mine, phone):
        device.sign_in("ada")
        device.visit(PAGE)
    mine.page.reload()
    mine.press(END)
    mine.was_told("The session has been ended.")
    phone.press(ALL)  # it still shows the page from before
    phone.is_at_login()
    for device in (phone, lost):
        device.sign_in("ada")
        device.visit(PAGE)
    mine.page.reload()
    expect(mine.page.get_by_role("button", name=END)).to_have_count(2)
    mine.press(OTHERS)
    mine.was_told("All your other sessions have been ended.")
    for device in (phone, lost):
        device.visit(PAGE)
        device.is_at_login()
    phone.sign_in("ada")
    mine.press(ALL)
    for device in (mine, phone):
        device.visit(PAGE)
        device.is_at_login()


@pytest.mark.parametrize("options", STORES, indirect=True)
def test_a_restart_of_the_server_signs_nobody_out(site: Site, new_device: NewDevice) -> None:
    devices = [new_device(), new_device()]
    for device in devices:
        device.sign_in("ada")
    site.restart()
    for device in devices:
        device.visit(PAGE)
        expect(device.heading("Your sessions")).to_be_visible()
    expect(device.page.get_by_role("button", name=END)).to_have_count(1)


def test_the_pages_lead_back_to_the_site(new_device: NewDevice) -> None:
    device = new_device()
    device.sign_in("ada")
    page = device.visit(PAGE)
    for address in (page.url, page.url + "?cursor=!"):  # the list, and what is not found
        page.goto(address)
        page.get_by_role("banner").get_by_role("link").click()
        expect(device.heading("Signed in as ada")).to_be_visible()
