"""What comes as the header Cookie. ``@`` is the id of a session that there is."""

from __future__ import annotations

from django.conf import settings

from django_jam_sessions import codec
from django_jam_sessions.engine import SessionStore

from .site import SETTINGS, ask

__all__ = ["SETTINGS", "one_input"]


def one_input(data: bytes) -> None:
    store = SessionStore()
    store["kept"] = 1
    store.create()
    held = store.session_key or ""
    header = data.decode("latin-1").replace("@", held)
    for is_async in (False, True):
        assert ask(is_async, "GET", "/read/", cookie=header).status_code == 200
        response = ask(is_async, "GET", "/write/", cookie=header)
        assert response.status_code == 200
        given = response.cookies[settings.SESSION_COOKIE_NAME].value
        assert codec.place_of(given) is not None
        if given != held:
            assert given not in header  # what is unknown is never adopted
            SessionStore(given).delete()
    assert SessionStore(held).get("kept") == 1
    SessionStore(held).delete()
