"""The soak: the site under uvicorn with two workers, the server that fails, and the users."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from testproject.server import free_port

from ..servers import Server
from . import samples
from .figures import SURPRISE, Figures
from .samples import Sample
from .users import User

ROOT = Path(__file__).parent.parent.parent.parent
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
WORKERS = 2
UVICORN = "uvicorn --workers %d --log-level warning --timeout-keep-alive 300" % WORKERS
SAMPLE_SECONDS = 10.0
DOWN_SECONDS = 2.0, 8.0
WARM_UP_SECONDS = 300.0
JUDGED_SECONDS = 600.0  # less than that after the warm-up says nothing of growth
START_SECONDS = 60.0
MOST_SURPRISES = 0.001  # of all answers
TOLD_LINES = 40  # of the site's log


class Soak:
    """Seconds: how long, the mean between two clicks of a user, and between two restarts."""

    def __init__(
        self,
        directory: Path,
        seconds: float,
        users: int,
        think: float,
        every: float,
        options: tuple[str, ...] = DURABLE,
    ) -> None:
        self.directory, self.seconds, self.every = directory, seconds, every
        self.options = options  # the server's
        self.warm_up = min(WARM_UP_SECONDS, seconds / 4)
        self.port = free_port()
        self.log = directory / "site.log"
        self.figures = Figures()
        self.samples: list[Sample] = []
        self.extra = 0  # sessions in the end that nobody has the cookie of
        self.cpu = 0.0  # seconds that all of its processes took
        self._until = 0.0
        self.users = [
            User(number, self.port, self.figures, think, self.is_over) for number in range(users)
        ]

    def is_over(self) -> bool:
        return time.monotonic() >= self._until

    async def run(self) -> None:
        data = self.directory / "data"
        data.mkdir()
        with Server(data, *self.options) as server, self._site(server.uri) as parent:
            self.figures.started = time.monotonic()
            self._until = self.figures.started + self.seconds
            restarts = asyncio.ensure_future(self._restart(server))
            sampling = asyncio.ensure_future(self._sample(server.port, parent))
            stalls = asyncio.ensure_future(self._watch())
            await asyncio.gather(*(user.run() for user in self.users))
            await asyncio.gather(restarts, sampling, stalls)
            self.extra = sum([await user.settle() for user in self.users])
        times = os.times()
        self.cpu = times.user + times.system + times.children_user + times.children_system
        if "Traceback" in self.log.read_text():
            self.figures.note("a traceback", "in the site's log")
        if not (self.figures.statuses[200] and self.figures.statuses[503]):
            self.figures.note("nothing was tried", str(self.figures.statuses))
        if self.figures.surprises > MOST_SURPRISES * self.figures.statuses.total():
            self.figures.note(SURPRISE, str(self.figures.surprises))
        self.judge()

    @contextlib.contextmanager
    def _site(self, uri: str) -> Iterator[int]:
        environment = {
            **os.environ,
            "SITE_DIR": str(self.directory),
            "REDIS_URI": uri,
            "DJANGO_SETTINGS_MODULE": "tests.faults.soak.settings",
            "PYTHONWARNINGS": "",
        }
        people = [sys.executable, "-m", "tests.faults.soak.people", str(len(self.users))]
        subprocess.run(people, cwd=ROOT, env=environment, check=True)
        command = [sys.executable, "-m", *UVICORN.split(), "--port", str(self.port)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, "testproject.asgi:application"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait(process)
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen("http://127.0.0.1:%d/" % self.port, timeout=10).close()
                if len(samples.workers(process.pid)) == WORKERS:
                    return
            time.sleep(0.05)
        raise RuntimeError("The site did not start:\n%s" % self.log.read_text())

    async def _restart(self, server: Server) -> None:
        """Killed and stopped in turn, every so often, and down for some seconds."""
        how = [server.stop, server.kill]
        down = min(DOWN_SECONDS[1], self.every / 4)
        await asyncio.sleep(self.every / 2)
        while self._until - time.monotonic() > down:
            away = [time.monotonic(), math.inf]
            self.figures.away.append(away)
            await asyncio.to_thread(how[len(self.figures.away) % 2])
            await asyncio.sleep(random.uniform(min(DOWN_SECONDS[0], down), down))
            await asyncio.to_thread(server.start)
            away[1] = time.monotonic()
            left = self._until - away[1]
            await asyncio.sleep(max(0.0, min(self.every - (away[1] - away[0]), left)))

    async def _sample(self, port: int, parent: int) -> None:
        pids = samples.workers(parent)
        while not self.is_over():
            at = time.monotonic() - self.figures.started
            if samples.workers(parent) != pids:
                self.figures.note("a worker that died", "of uvicorn's")
                pids = samples.workers(parent)
            for number, pid in enumerate(pids, 1):
                with contextlib.suppress(OSError):  # it died
                    values = samples.of_worker(pid, port)
                    self.samples.append(Sample(at, "worker %d" % number, values))
            server = await asyncio.to_thread(samples.of_server, port)
            self.samples.append(Sample(at, "server", server))
            await asyncio.sleep(min(SAMPLE_SECONDS, self.seconds / 20))

    async def _watch(self) -> None:
        """How long the machine makes wait who wants to go on."""
        while not self.is_over():
            started = time.monotonic()
            await asyncio.sleep(0.1)
            late = time.monotonic() - started - 0.1
            self.figures.late_most = max(self.figures.late_most, late)

    # What came of it

    def judge(self) -> None:
        if self.seconds - self.warm_up < JUDGED_SECONDS:
            return
        for (name, what), course in samples.courses(self.samples, self.warm_up).items():
            if course.drift > samples.MOST.get(what, math.inf):
                self.figures.note("growth", "%s of %s: %.1f" % (what, name, course.drift))

    def report(self) -> str:
        figures = self.figures
        downs = [until - since for since, until in figures.away]
        statuses = ", ".join("%d: %d" % each for each in sorted(figures.statuses.items()))
        done = ", ".join("%s: %d" % each for each in figures.done.most_common())
        lines = [
            "%.1f minutes, %d users, %d workers; processor: %.0f %% of one core, for all"
            % (self.seconds / 60, len(self.users), WORKERS, 100 * self.cpu / self.seconds),
            "restarts: %d, down for %.1f s in all" % (len(downs), sum(downs)),
            "answers: %s" % statuses,
            "done: %s" % done,
            "requests while the server was there: median %.0f ms, 99 %% %.0f ms, longest %.0f ms"
            % tuple(1000 * figures.quantile(share) for share in (0.5, 0.99, 1.0)),
            "the longest: %s" % ", ".join("%.2f s %s" % each for each in reversed(figures.slowest)),
            "longest request while it was not: %.0f ms; last 503 after its return: %.0f ms"
            % (1000 * figures.longest_away, 1000 * figures.late),
            "503 while it was there: %d; this process was let wait for up to %.0f ms, load %.1f"
            % (figures.surprises, 1000 * figures.late_most, os.getloadavg()[2]),
            "sign-ins that nobody was told of: %d; sessions left of them: %d"
            % (sum(user.strays for user in self.users), self.extra),
            "",
            *self._table(),
            "",
            "broken promises: %s" % (dict(figures.wrong) or "none"),
            *figures.notes,
            "",
            "the site's log:",
            *self.log.read_text().splitlines()[-TOLD_LINES:],
        ]
        return "\n".join(lines) + "\n"

    def _table(self) -> list[str]:
        """After the warm-up."""
        head = "%-16s %-16s %10s %10s %12s %8s %10s %10s"
        names = ("whose", "what", "first", "last", "per minute", "noise", "least", "most")
        rows = [
            "%-16s %-16s %10.1f %10.1f %+12.2f %8.2f %10.0f %10.0f"
            % (
                name,
                "%s %s" % (what, samples.UNITS.get(what, "")),
                course.first,
                course.last,
                course.slope,
                course.noise,
                course.least,
                course.most,
            )
            for (name, what), course in samples.courses(self.samples, self.warm_up).items()
        ]
        return [head % names, *rows]
