"""What comes as a request to the API. The first byte chooses the URL and the media type; then a
line is the header Session-Id, where ``@`` is a genuine id, and the rest is the body."""

from __future__ import annotations

import json
from typing import Any

from django_jam_sessions import sessions
from django_jam_sessions.exceptions import SessionNotFoundError

from .site import SETTINGS, ask

__all__ = ["SETTINGS", "one_input"]

URLS = [
    ("POST", "/api/store/"),
    ("PUT", "/api/store/"),
    ("GET", "/api/store/"),
    ("DELETE", "/api/store/"),
    ("POST", "/api/store/rework/"),
]
MEDIA = [
    "application/json",
    "application/json",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "",
]


def one_input(data: bytes) -> None:
    choice, rest = data[0] if data else 0, data[1:]
    header, _, body = rest.partition(b"\n")
    method, url = URLS[choice % len(URLS)]
    media = MEDIA[choice // len(URLS) % len(MEDIA)]
    genuine = sessions.sync.create("17", {"kept": 1}) if b"@" in header else ""
    headers = {"Session-Id": header.decode("latin-1").replace("@", genuine)} if header else {}
    response = ask(True, method, url, body, content_type=media, **headers)
    content = check(response)
    if response.status_code == 201:
        assert sessions.sync.get(content["session_id"]) == json.loads(body)["data"]
    try:
        sessions.sync.clear("17")
        sessions.sync.clear(json.loads(body)["session_key"])
    except (SessionNotFoundError, ValueError, KeyError, TypeError):
        pass


def check(response: Any) -> Any:
    assert response.status_code < 500, response.status_code
    assert response.headers["Cache-Control"] == "no-store"
    if response.status_code == 204:
        assert response.content == b""
        return None
    content = json.loads(response.content)
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert set(content) == {"type", "title", "status", "detail"}
    return content
