"""What can be said of a page by measuring it."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

NARROW = {"width": 360, "height": 740}  # a small phone, in CSS pixels

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
    """What the Tab key reaches, from the page's beginning, in order."""
    found = []
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        found.append(focused)
    return found


def violations(page: Page) -> list[str]:
    """What axe objects to: its rule, and the elements."""
    found = Axe().run(page).response["violations"]
    return ["%s: %s" % (each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def is_dark(page: Page) -> bool:
    background, text = page.evaluate(BRIGHTNESS)
    return bool(background < 0.25 and text > 0.7)
