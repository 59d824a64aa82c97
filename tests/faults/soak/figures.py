"""What the users of the soak have seen, and when the server was away."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

KEYS = ("one", "two")  # of the session's data, which are counted up
GRACE = 3.0  # seconds after the server's return in which 503 is no surprise
MOST_NOTES = 30
TOLD_SLOWEST = 5
SURPRISE = "503 though the server was there"


@dataclass
class Figures:
    statuses: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)  # each is a promise broken
    notes: list[str] = field(default_factory=list)
    away: list[list[float]] = field(default_factory=list)  # from, until: time.monotonic()
    seconds: list[float] = field(default_factory=list)  # of requests while the server was there
    surprises: int = 0  # of 503 while the server was there: another's work may stall a machine
    late_most: float = 0.0  # seconds that the machine let this process wait
    longest_away: float = 0.0  # seconds that a request took while it was not
    slowest: list[tuple[float, str]] = field(default_factory=list)  # while the server was there
    late: float = 0.0  # seconds from the server's return to the last 503
    started: float = field(default_factory=time.monotonic)

    def note(self, what: str, detail: str) -> None:
        self.wrong[what] += 1
        self.tell(what, detail)

    def tell(self, what: str, detail: str) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.append("%7.1f s: %s: %s" % (time.monotonic() - self.started, what, detail))

    def answered(self, status: int, started: float, path: str) -> None:
        now = time.monotonic()
        self.statuses[status] += 1
        away = [each for each in self.away if each[0] <= now and started <= each[1] + GRACE]
        if away:
            self.longest_away = max(self.longest_away, now - started)
        else:
            self.seconds.append(now - started)
            self.slowest = sorted([*self.slowest, (now - started, path)])[-TOLD_SLOWEST:]
        if status == 503:
            if not away:
                self.surprises += 1
                self.tell(SURPRISE, path)
            elif now > away[-1][1]:
                self.late = max(self.late, now - away[-1][1])
        elif status >= 500:
            self.note("an answer of %d" % status, path)

    def quantile(self, share: float) -> float:
        """Seconds that no more than this share of requests took longer than."""
        ordered = sorted(self.seconds) or [0.0]
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
