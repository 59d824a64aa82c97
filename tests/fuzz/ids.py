"""What a client says is a session id, or a handle."""

from __future__ import annotations

from django_jam_sessions import codec

from . import text


def one_input(data: bytes) -> None:
    for value in (text(data), data.decode("latin-1")):
        place = codec.place_of(value, codec.ENGINE)
        if place is not None:
            assert value.isascii()
            assert codec.is_locator(place.locator)
            handle = codec.handle_of(place.locator, place.field)
            assert codec.place_of_handle(handle) == (*place[:2], None)
        named = codec.place_of_handle(value)
        if named is not None:
            assert codec.handle_of(named.locator, named.field) == value
            as_id = codec.place_of(value)
            assert as_id is None or as_id.field != named.field
