"""What a person does with a browser."""

from __future__ import annotations

import re

from django.urls import reverse
from playwright.sync_api import BrowserContext, Locator, Page, Response, expect

COOKIE = "sessionid"


class Device:
    """One browser context. It notes what should not happen, and each session id it was given."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.troubles: list[str] = []
        self.secrets: set[str] = set()
        context.set_default_timeout(15_000)  # milliseconds
        context.on("weberror", lambda error: self.troubles.append(str(error.error)))
        context.on("response", self._note)
        self.page: Page = context.new_page()

    def _note(self, response: Response) -> None:
        if response.status >= 500 or (response.status == 404 and "/static/" in response.url):
            self.troubles.append("%d %s" % (response.status, response.url))

    def visit(self, name: str, *args: object) -> Page:
        """Open the page of that URL's name."""
        self.page.goto(reverse(name, args=args))
        return self.page

    def sign_in(self, name: str) -> None:
        """Through the site's own page. Each one's password is the name."""
        page = self.visit("login")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(name)
        page.get_by_label("Password").press("Enter")
        page.wait_for_url(lambda url: reverse("login") not in url)
        self.secrets.add(self.cookie)

    def press(self, name: str | re.Pattern[str]) -> None:
        self.page.get_by_role("button", name=name).click()

    def heading(self, name: str) -> Locator:
        return self.page.get_by_role("heading", name=name, exact=True)

    def is_at_login(self) -> None:
        expect(self.page).to_have_url(re.compile(re.escape(reverse("login"))))

    def was_told(self, text: str) -> None:
        expect(self.page.get_by_role("status")).to_contain_text(text)

    @property
    def cookie(self) -> str:
        found = {each["name"]: each["value"] for each in self.context.cookies()}
        return str(found.get(COOKIE, ""))

    def close(self) -> None:
        self.context.close()
