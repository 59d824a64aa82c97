"""Gives a site a past, so that a screenshot shows one: ``python -m tests.browser.past``."""

from __future__ import annotations

import os
import time
from typing import NamedTuple
from unittest import mock

import django

from django_jam_sessions import sessions

HOUR = 3600.0  # seconds
DAY = 24 * HOUR


class Visit(NamedTuple):
    name: str
    address: str  # of the ranges for documentation, RFC 5737 and RFC 3849
    user_agent: str
    signed_in: float  # seconds ago
    seen: float


FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/138.0.0.0 Mobile Safari/537.36"
)
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Safari/605.1.15"
)

VISITS = [
    Visit("ada", "203.0.113.7", FIREFOX, 6 * DAY, 5 * HOUR),
    Visit("ada", "198.51.100.23", IPHONE, 9 * DAY, 26 * HOUR),
    Visit("ada", "2001:db8::42", ANDROID, 3 * DAY, 2 * DAY),
    Visit("grace", "203.0.113.19", MAC, 2 * DAY, 3 * HOUR),
    Visit("grace", "203.0.113.19", IPHONE, 8 * DAY, 30 * HOUR),
    Visit("vera", "192.0.2.81", FIREFOX, 4 * HOUR, 1 * HOUR),
]


def pay(visit: Visit) -> None:
    """Sign in at that time, and look in once more later. The store's clock is this process's."""
    from django.test import Client

    client = Client(headers={"user-agent": visit.user_agent}, REMOTE_ADDR=visit.address)
    now = time.time_ns()
    with mock.patch("time.time_ns", return_value=now - int(visit.signed_in * 1e9)):
        client.post("/accounts/login/", {"username": visit.name, "password": visit.name})
    with mock.patch("time.time_ns", return_value=now - int(visit.seen * 1e9)):
        client.get("/")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.browser.settings")
    django.setup()
    for each in VISITS:
        pay(each)
    sessions.sync.create("till:north-2", {})  # a key need not be a user
