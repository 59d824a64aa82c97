"""Browsers: Django's test client and its awaited twin, and what they see of a page."""

from __future__ import annotations

from functools import partial
from html.parser import HTMLParser
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpResponse
from django.test import AsyncClient, Client

PASSWORD = "a-password-for-the-tests"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 "
    "Mobile/15E148 Safari/604.1"
)


class Browser:
    def __init__(
        self,
        is_async: bool,
        agent: str = FIREFOX,
        address: str = "127.0.0.1",
        language: str = "en",
    ) -> None:
        self.is_async = is_async
        self.headers = {"user-agent": agent, "accept-language": language}
        self.client: Any = Client(REMOTE_ADDR=address)
        if is_async:
            self.client = AsyncClient()
            self.client._base_scope = partial(self.client._base_scope, client=(address, 0))

    def get(self, path: str, **kwargs: Any) -> HttpResponse:
        return self._send("get", path, **kwargs)

    def post(self, path: str, data: Any = None, **kwargs: Any) -> HttpResponse:
        return self._send("post", path, data or {}, **kwargs)

    def _send(self, method: str, *args: Any, **kwargs: Any) -> HttpResponse:
        send = getattr(self.client, method)
        # At each request: an AsyncClient forgets the headers that it was made with.
        kwargs["headers"] = self.headers
        response: HttpResponse = (async_to_sync(send) if self.is_async else send)(*args, **kwargs)
        return response

    def sign_in(self, user: Any) -> Browser:
        data = {"username": user.get_username(), "password": PASSWORD}
        assert self.post("/accounts/login/", data).status_code == 302
        return self

    @property
    def session_id(self) -> str:
        return str(self.client.cookies[settings.SESSION_COOKIE_NAME].value)


class Outline(HTMLParser):
    """What a page has for those who don't see it; fails where its tags don't match."""

    VOID = ("meta", "link", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def words(self, tag: str) -> list[str]:
        """The texts of these elements."""
        return [" ".join(text.split()) for text in self.texts.get(tag, [])]
