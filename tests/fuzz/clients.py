"""What a client sends that becomes its description: the user agent, and addresses that proxies
hand on. A line each: address, ``X-Forwarded-For``, user agent."""

from __future__ import annotations

import json
from functools import partial

from django.http import HttpRequest
from django.test import RequestFactory

from django_jam_sessions.client import (
    MAX_USER_AGENT,
    _truncated,
    behind_proxies,
    describe,
    remote_addr,
)
from django_jam_sessions.devices import client_info
from django_jam_sessions.infos import Meta, meta_of, meta_text

ADDRESSES = [remote_addr, behind_proxies(1), behind_proxies(3)]
MAX_ADDRESS = 45  # characters; RFC 4291 has the longest form

requests = partial(RequestFactory().get, "/")


def one_input(data: bytes) -> None:
    # As a server hands headers on: bytes as ISO 8859-1.
    address, forwarded, agent, *_ = [*data.decode("latin-1").split("\n"), "", ""]
    request = requests(REMOTE_ADDR=address, HTTP_X_FORWARDED_FOR=forwarded, HTTP_USER_AGENT=agent)
    check(request)
    for function in ADDRESSES:
        check_address(function(request))
        check_address(_truncated(function(request)))


def check(request: HttpRequest) -> None:
    client = describe(request)
    assert client is not None
    assert len(client.user_agent) <= MAX_USER_AGENT
    for shown in (client.user_agent, client.device):
        assert not any(ord(character) < 32 for character in shown)
        shown.encode()
    meta = meta_of(meta_text(Meta("17", client)))
    assert client_info(meta.client) == client
    json.dumps(client).encode()


def check_address(address: str) -> None:
    assert len(address) <= MAX_ADDRESS
    assert set(address) <= set("0123456789abcdef.:")
