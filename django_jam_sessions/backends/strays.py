"""What calls to Redis that failed, or were cancelled, may have stored: nobody was told its id."""

from __future__ import annotations

from collections import deque

from ..codec import Place
from ..exceptions import SessionStoreUnavailable
from ..steps import Steps
from .calls import Calls

REMEMBERED = 1000  # by a process
AT_ONCE = 10  # that one call sees to


class Strays:
    """True where there are any. Those of a process that dies stay stored until they expire."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._left: deque[tuple[Place, Place | None]] = deque(maxlen=REMEMBERED)

    def __bool__(self) -> bool:
        return bool(self._left)

    def add(self, place: Place, source: Place | None = None) -> None:
        self._left.append((place, source))

    def tidy(self) -> Steps[None]:
        """Remove them.

        Where one was to take another's place, and that one is gone, the move was made, and stays.
        """
        for _ in range(AT_ONCE):
            try:
                place, source = self._left.popleft()
            except IndexError:
                return
            try:
                if source is None or (yield "script", *self._calls.fetch(source)):
                    yield "script", *self._calls.remove(place)
            except BaseException as error:
                self.add(place, source)
                if isinstance(error, SessionStoreUnavailable):
                    return  # the next one who comes by sees to it
                raise
