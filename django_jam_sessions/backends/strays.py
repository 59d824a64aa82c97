"""What calls to Redis that failed, or were cancelled, may have stored: nobody was told its id."""

from __future__ import annotations

import time
from collections import deque

from ..codec import Place
from ..exceptions import SessionStoreUnavailable
from ..steps import Steps
from .calls import Calls

REMEMBERED = 1000  # by a process
AT_ONCE = 10  # that one call sees to
PAUSE = 5.0  # seconds after a failure: of a cluster, one node alone may be out


Stray = tuple[Place, bytes]
"""Where a record may be, and its version: another one is somebody's."""


class Strays(deque[Stray]):
    """Those of a process that dies stay stored until they expire."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(maxlen=REMEMBERED)
        self._paused_until = 0.0
        self._calls = calls

    def tidy(self) -> Steps[None]:
        """Remove them, also those whose move was made: who had the old id was not told the new."""
        if time.monotonic() < self._paused_until:
            return
        for _ in range(AT_ONCE):
            try:
                stray = self.popleft()
            except IndexError:
                return
            try:
                yield "script", *self._calls.remove(*stray)
            except BaseException as error:
                self.append(stray)
                if isinstance(error, SessionStoreUnavailable):
                    self._paused_until = time.monotonic() + PAUSE
                    return  # somebody who comes by later sees to it
                raise
