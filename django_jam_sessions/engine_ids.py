"""Which id a session of the engine has, and whose it is.

As in engine.py ``session_key`` is the session id here, and the session key the *owner*.
"""

from __future__ import annotations

import threading
from typing import Any

from django.contrib.auth import SESSION_KEY as AUTH_USER_ID
from django.contrib.sessions.backends.base import SessionBase

from .codec import ENGINE, Issued, handle_of, issue, place_of
from .configured import configured
from .infos import SessionInfo, Stored

Whose = tuple[str | None, object]
"""The owner, and who is signed in."""


class EngineIds(SessionBase):
    """An id is absent, allocated (its owner is set, it is not stored yet) or stored."""

    _stored: Stored | None = None  # as it was loaded, or last written by this store
    _owner_stored: str | None = None
    _user_stored: object = None  # who is signed in there: the owner, where no setting differs
    _allocated: tuple[str, Issued] | None = None  # an owner, and the id for it
    _has_new_key = False  # one that this store made
    has_moved = False  # what the request's id named has another id now

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._settings = settings = configured.engine()
        self._backend, self._operations = settings.backend, settings.operations
        self._first = threading.Lock()  # of the looks at the store: the others find what it found

    # The id

    def _get_session_key(self) -> str | None:
        data = self.__dict__.get("_session_cache")
        if data is None or not self._moves(data):
            return self._stored_key
        return self._allocate(str(self._owner(data))).id

    def _set_session_key(self, value: str | None) -> None:
        """What can be no id, by Django's rule, is None."""
        self._stored_key = value if value and len(value) >= 8 else None

    session_key = property(_get_session_key)
    _session_key = property(_get_session_key, _set_session_key)

    def _allocate(self, owner: str) -> Issued:
        """The new id of a session that is this owner's from now on: the same one until stored."""
        if self._allocated is None or self._allocated[0] != owner:
            self._allocated = owner, self._issue(owner)
        return self._allocated[1]

    def _is_new(self, owner: str) -> bool:
        """Whether a session of this owner must move from where it is stored, if it is."""
        if self._stored is not None:
            if owner != self._owner_stored and self._settings.session_key is not None:
                # The function of the settings may have come to another answer since: ask it again.
                self._owner_stored = self._owner(self._loads(self._stored) or {})
            return owner != self._owner_stored
        place = place_of(self._stored_key)
        return place is None or place.locator not in self._operations.cipher.locators(owner)

    def _moves(self, data: dict[str, Any]) -> bool:
        """Whether what is stored next must have a new id: its owner is new, or who is signed in."""
        owner = self._owner(data)
        return owner is not None and (self._is_new(owner) or self._is_sign_in(data))

    def _is_sign_in(self, data: dict[str, Any]) -> bool:
        user = data.get(AUTH_USER_ID)
        return self._stored is not None and user is not None and user != self._user_stored

    def _issue(self, owner: str | None) -> Issued:
        return self._operations.issue(owner, ENGINE, self._settings.id_factory)

    def _owner(self, data: dict[str, Any]) -> str | None:
        """Whose session this is: the user's pk, or what the function in the settings says."""
        function = self._settings.session_key
        owner = data.get(AUTH_USER_ID) if function is None else function(data)
        return None if owner is None or owner == "" else str(owner)

    def _whose(self, data: dict[str, Any]) -> Whose:
        return self._owner(data), data.get(AUTH_USER_ID)

    @property
    def stored_id(self) -> str | None:
        """The id that the session has until it is saved: ``session_key`` may be another already."""
        return self._stored_key

    @property
    def stored_expiry(self) -> Any:
        """What set_expiry() was told, as it is stored: None where the settings rule."""
        data = None if self._stored is None else self._loads(self._stored)
        return (data or {}).get("_session_expiry")

    @property
    def owner(self) -> str | None:
        """Whose session is stored: the session key, elsewhere. None where it is nobody's, or none
        was loaded."""
        return self._owner_stored

    @property
    def is_to_cycle(self) -> bool:
        """Whether a user who has proven who they are would go on under the key they came with."""
        data = self.__dict__.get("_session_cache") or {}
        is_known = self._stored is not None and self._owner(data) is not None
        return is_known and not (self._has_new_key or self._moves(data))

    @property
    def handle(self) -> str | None:
        """The public name of the stored session, None where none was loaded."""
        place = None if self._stored is None else self._stored.place
        return None if place is None else handle_of(place.locator, place.field)

    @property
    def info(self) -> SessionInfo | None:
        """What may be shown of the stored session, None where none was loaded."""
        return None if self._stored is None else self._operations.info(self._stored)

    def _next_id(self, stored: Stored, data: dict[str, Any]) -> Issued:
        owner = self._owner(data)
        if owner is not None and self._moves(data):
            return self._allocate(owner)
        if owner is None and self._operations.is_anonymous(stored):
            return issue(stored.place.locator, ENGINE, self._settings.id_factory)
        return self._issue(owner)

    # What is stored

    def _remember(self, stored: Stored, whose: Whose) -> None:
        self._based_on(stored, whose)
        self._allocated = None
        self._stored_key = stored.id

    def _based_on(self, stored: Stored, whose: Whose) -> None:
        self._stored = stored
        self._owner_stored, self._user_stored = whose

    def _forget(self) -> None:
        self._stored = self._owner_stored = self._user_stored = self._allocated = None

    def _loads(self, stored: Stored) -> dict[str, Any] | None:
        return self._operations.read(stored, self.serializer().loads)
