"""What somebody wrote as ``session_aes_secret``: bytes, text, or sequences of these as JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_jam_sessions.sealing import Sealed, parse_secrets

from . import text


def one_input(data: bytes) -> None:
    check(data)
    check(text(data))
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    check(value)


def check(value: Any) -> None:
    try:
        secrets = parse_secrets(value)
    except ImproperlyConfigured as error:
        shown = str(error)
        assert not (isinstance(value, str) and len(value) > 20 and value in shown)
        return
    assert secrets
    assert {len(secret) for secret in secrets} == {32}
    Sealed(secrets[:2]).locators("17")
