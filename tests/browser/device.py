"""What a person does with a browser."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, Response

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

    def sign_in(self, name: str, path: str = "/accounts/login/") -> None:
        """Through the site's own page. Each one's password is the name."""
        self.page.goto(path)
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(name)
        self.page.locator("form", has=self.page.get_by_label("Password")).get_by_role(
            "button"
        ).click()
        self.page.wait_for_url(lambda url: "login" not in url)
        self.secrets.add(self.cookie)

    @property
    def cookie(self) -> str:
        found = {each["name"]: each["value"] for each in self.context.cookies()}
        return str(found.get(COOKIE, ""))

    def close(self) -> None:
        self.context.close()
