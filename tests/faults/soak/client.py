"""The least of an HTTP/1.1 client, for asyncio: one connection that is kept."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

TIMEOUT = 30.0  # seconds
CSRF = "c" * 32  # a browser's own choice is as good as any
_SESSION = re.compile(r'sessionid="?([a-z0-9]*)"?;')


class BrokenError(Exception):
    """No answer came."""


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Empty where the answer is none of JSON."""
        is_json = ("content-type", "application/json") in self.headers
        return dict(json.loads(self.body)) if is_json else {}

    @property
    def cookie(self) -> str | None:
        """The session's new cookie, ``""`` where it is deleted, None where it stays."""
        for name, value in self.headers:
            if name == "set-cookie" and (found := _SESSION.match(value)):
                return found[1]
        return None

    @property
    def location(self) -> str:
        return dict(self.headers).get("location", "")


class Connection:
    """Opened at first use, and anew after it broke."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, cookie: str = "", form: dict[str, str] | None = None
    ) -> Answer:
        """Raises BrokenError."""
        try:
            return await asyncio.wait_for(self._ask(method, path, cookie, form or {}), TIMEOUT)
        except (OSError, EOFError, asyncio.TimeoutError, ValueError) as error:
            self.close()
            raise BrokenError(type(error).__name__) from error
        except asyncio.CancelledError:
            self.close()
            raise

    async def _ask(self, method: str, path: str, cookie: str, form: dict[str, str]) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        writer.write(_request(method, path, cookie, urlencode(form).encode()))
        await writer.drain()
        status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        fields = dict(headers)
        if fields.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _request(method: str, path: str, cookie: str, body: bytes) -> bytes:
    cookies = "csrftoken=" + CSRF + ("; sessionid=" + cookie if cookie else "")
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: 127.0.0.1", "Cookie: " + cookies]
    lines += ["User-Agent: soak"]
    if method == "POST":
        lines += ["X-CSRFToken: " + CSRF, "Content-Length: %d" % len(body)]
        lines += ["Content-Type: application/x-www-form-urlencoded"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _head(head: bytes) -> tuple[int, list[tuple[str, str]]]:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), [(name.lower(), value.strip()) for name, _, value in pairs]


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
