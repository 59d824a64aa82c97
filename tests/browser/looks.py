"""What can be said of a page by measuring it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

Scheme = Literal["light", "dark"]

WIDE: ViewportSize = {"width": 1280, "height": 640}  # in CSS pixels
NARROW: ViewportSize = {"width": 360, "height": 740}  # a small phone
LOOKS: list[tuple[Scheme, ViewportSize]] = [("light", WIDE), ("dark", NARROW)]

INTERACTIVE = ["a[href]", "button", "input:not([type=hidden])", "select", "summary"]
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

# The element that has the focus: what it is called, and whether one sees that it has it.
FOCUSED = """() => {
  const element = document.activeElement;
  if (element === document.body) return null;
  const style = getComputedStyle(element);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return {
    name: (element.getAttribute("aria-label") || element.innerText || element.value || "").trim(),
    tag: element.tagName.toLowerCase(),
    seen: outlined || style.boxShadow !== "none",
  };
}"""

# How bright the page and its text are: 0 is black, 1 is white. Where nothing has painted the
# page, its background is the system color Canvas, which follows the color scheme.
BRIGHTNESS = """() => {
  const brightness = color => {
    const [red, green, blue] = color.match(/[\\d.]+/g).map(Number);
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
  };
  const style = getComputedStyle(document.body);
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.backgroundColor = "Canvas";
  const isPainted = style.backgroundColor !== "rgba(0, 0, 0, 0)";
  const page = isPainted ? style.backgroundColor : getComputedStyle(probe).backgroundColor;
  probe.remove();
  return [page, style.color].map(brightness);
}"""


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate(TOO_WIDE))


def tab_stops(page: Page, most: int = 100) -> list[dict[str, Any]]:
    """What has the focus as the page comes, and then what the Tab key reaches, once around."""
    first = page.evaluate(FOCUSED)
    found = [first] if first else []
    is_from_top = first is None
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None and not is_from_top:
            is_from_top = True  # what stands before the field that had the focus comes next
        elif focused is None or (is_from_top and focused == first):
            break
        else:
            found.append(focused)
    return found


def violations(page: Page) -> dict[str, list[str]]:
    """What axe objects to: its rules, and the elements."""
    found = Axe().run(page).response["violations"]
    return {each["id"]: [node["html"] for node in each["nodes"]] for each in found}


def is_dark(page: Page) -> bool:
    background, text = page.evaluate(BRIGHTNESS)
    return bool(background < 0.25 and text > 0.7)


def show(page: Page, scheme: Scheme, size: ViewportSize) -> None:
    """Change the page's look, and wait until nothing changes any more."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    page.wait_for_function("document.getAnimations().length === 0")


def looks_right(page: Page, but: Container[str] = ()) -> None:
    """It fits a wide and a narrow screen, it is as dark as was asked for, axe is content.

    ``but`` are rules of axe that are not of interest.
    """
    for scheme, size in LOOKS:
        show(page, scheme, size)
        assert is_dark(page) == (scheme == "dark")
        assert overflow(page) == 0
        found = violations(page)
        assert {rule: found[rule] for rule in found if rule not in but} == {}


def reachable_by_keyboard(page: Page) -> None:
    """Tab reaches every link, button and field that is shown, and one sees where it is."""
    stops = tab_stops(page)
    assert [stop for stop in stops if not stop["seen"]] == []
    shown = page.locator(", ".join("%s:visible" % name for name in INTERACTIVE))
    assert len(stops) == shown.count()
