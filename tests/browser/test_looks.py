"""How "Your sessions" looks and feels: narrow, dark, without a mouse or JavaScript, to axe."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from .conftest import NewDevice
from .device import Device
from .looks import looks_right, reachable_by_keyboard
from .site import Site
from .test_walks import ALL, END, OTHERS, PAGE

HOSTILE = "<script>document.title = 'owned'</script>" + "W" * 200


@pytest.fixture
def device(new_device: NewDevice) -> Device:
    """One of ada's two. The other says a long and hostile thing of itself."""
    new_device(user_agent=HOSTILE).sign_in("ada")
    mine = new_device()
    mine.sign_in("ada")
    return mine


def test_the_list_looks_right(device: Device) -> None:
    """With another session, then with a message and none."""
    device.visit(PAGE)
    looks_right(device.page)
    reachable_by_keyboard(device.page)
    expect(device.page).to_have_title("Your sessions")
    device.press(END)
    device.was_told("The session has been ended.")
    looks_right(device.page)
    reachable_by_keyboard(device.page)


def test_the_question_for_the_password_looks_right(site: Site, device: Device) -> None:
    """The setting is new: nobody has given the password since."""
    site.restart(reauthenticate=3600)
    device.visit(PAGE)
    device.press(OTHERS)
    field = device.page.get_by_label("Password")
    expect(field).to_be_visible()
    looks_right(device.page)
    reachable_by_keyboard(device.page)
    field.fill("not it")
    field.press("Enter")
    expect(device.page.get_by_text("That is not your password.")).to_be_visible()
    looks_right(device.page)
    field.fill("ada")
    field.press("Enter")
    device.was_told("All your other sessions have been ended.")


def test_the_page_for_a_session_that_is_not_there_looks_right(device: Device) -> None:
    """Another device ended it meanwhile, while this page still shows it."""
    device.visit(PAGE)
    second = device.context.new_page()
    second.goto(reverse(PAGE))
    second.get_by_role("button", name=END).click()
    device.press(END)
    expect(device.heading("There is no such session")).to_be_visible()
    looks_right(device.page)
    reachable_by_keyboard(device.page)


def test_it_works_by_keyboard_alone(device: Device) -> None:
    page = device.visit(PAGE)
    button = page.get_by_role("button", name=END)
    while not button.evaluate("element => element === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    device.was_told("The session has been ended.")


def test_it_works_without_javascript(new_device: NewDevice) -> None:
    plain, other = new_device(java_script_enabled=False), new_device()
    for device in (other, plain):
        device.sign_in("ada")
    plain.visit(PAGE)
    plain.press(END)
    plain.was_told("The session has been ended.")
    plain.press(ALL)
    plain.was_told("All your sessions have been ended.")  # on the page of who signed out
    for device in (other, plain):
        device.visit(PAGE)
        device.is_at_login()
