"""What the middleware notes of a request's client: its address and its user agent."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from django.http import HttpRequest

from .conf import conf
from .devices import ClientInfo

MAX_USER_AGENT = 256  # characters
PREFIXES = {4: 24, 6: 48}  # bits that are kept of a truncated address

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def describe(request: HttpRequest) -> ClientInfo | None:
    """The client description of a request; None where the settings want none."""
    kind = conf.client_info
    if kind is False:
        return None
    address = (conf.client_ip or remote_addr)(request)
    if kind == "truncated":
        address = _truncated(address)
    agent = _CONTROLS.sub(" ", request.headers.get("User-Agent", ""))
    return ClientInfo(address, agent[:MAX_USER_AGENT])


def remote_addr(request: HttpRequest) -> str:
    """The address that the connection came from; what a client sends is not believed."""
    return _address(request.META.get("REMOTE_ADDR", ""))


def behind_proxies(count: int) -> Callable[[HttpRequest], str]:
    """A function for the setting CLIENT_IP, where ``count`` proxies of yours each add the address
    that they saw to ``X-Forwarded-For``.

    The client's address is the ``count``-th from the right: what stands before it, the client may
    have sent. Where there are fewer, or it is no address, the answer is ``""``.
    """
    if not isinstance(count, int):  # the request, where it was named and not called
        raise TypeError("behind_proxies() is called with the number of your proxies.")
    if count < 1:
        raise ValueError("count must be 1 or more.")

    def client_ip(request: HttpRequest) -> str:
        addresses = request.headers.get("X-Forwarded-For", "").split(",")
        return _address(addresses[-count].strip()) if len(addresses) >= count else ""

    return client_ip


def _address(text: str) -> str:
    """The address without its zone (RFC 4007, 11): that is any text, and says nothing elsewhere."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:  # a Unix socket has none
        return ""


def _truncated(address: str) -> str:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return ""
    network = ipaddress.ip_network("%s/%d" % (address, PREFIXES[version]), strict=False)
    return str(network.network_address)
