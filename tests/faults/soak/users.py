"""Users with up to two devices each, who know which of their sessions must be alive."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .client import Answer, BrokenError, Connection
from .figures import KEYS, Figures

OUT = "a wrong logout"
RISEN = "a resurrected session"
LOST = "a lost write"
DOUBLED = "a doubled write"
ACTIONS = {
    "read": 40,
    "write": 25,
    "write twice at once": 10,
    "list": 10,
    "begin or end the second": 7,
    "use the second": 8,
    "use one that has ended": 5,
    "sign out and in": 3,
}

Form = dict[str, str]


@dataclass
class Device:
    cookie: str = ""
    handle: str = ""  # "" until an answer has told it
    is_ending: bool = False  # what it sees is not judged
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KEYS, 0))
    unsure: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KEYS, 0))


class User:
    """``think`` is the mean of the seconds between two clicks; ``until`` says when to stop."""

    def __init__(
        self, number: int, port: int, figures: Figures, think: float, until: Callable[[], bool]
    ) -> None:
        self.name, self.pk = "user-%d" % number, number + 1
        self.figures, self.think, self.until = figures, think, until
        self.random = random.Random(number)
        self.connections = [Connection(port), Connection(port)]
        self.first = Device()
        self.second: Device | None = None
        self.ended: deque[str] = deque(maxlen=5)  # cookies
        self.ended_handles: set[str] = set()
        self.strays = 0  # sessions that may have begun, and whose cookie nobody was told

    async def run(self) -> None:
        actions = dict(zip(ACTIONS, self._actions(), strict=True))
        await asyncio.sleep(self.random.random() * self.think)
        try:
            await self.sign_in(self.first)
            while not self.until():
                await asyncio.sleep(self.random.expovariate(1 / self.think))
                if self.first.is_ending:  # it was signed out wrongly
                    self.first = Device()
                    await self.sign_in(self.first)
                (what,) = self.random.choices(list(ACTIONS), list(ACTIONS.values()))
                await actions[what]()
                self.figures.done[what] += 1
        except Exception as error:  # noqa: BLE001 - of the soak itself, and no reason to stop it
            self.figures.note("an error of a client's", repr(error))

    def _actions(self) -> list[Callable[[], Awaitable[object]]]:
        return [
            lambda: self.read(self.first),
            lambda: self.write(self.first, self.random.choice(KEYS)),
            self.write_twice,
            self.list,
            self.second_device,
            self.use_second,
            self.use_ended,
            self.sign_out_and_in,
        ]

    async def settle(self) -> int:
        """Look at everything once more; returns how many sessions are stored and of no use."""
        for device in (self.first, self.second):
            if device is not None:
                await self.read(device)
        while self.ended:
            await self.use_ended()
            self.ended.pop()
        extra = await self.list()
        for each in self.connections:
            each.close()
        return extra

    # Requests

    async def ask(
        self, device: Device, method: str, path: str, tab: int = 0, form: Form | None = None
    ) -> Answer | None:
        """None where it is not known what came of it."""
        started = time.monotonic()
        try:
            answer = await self.connections[tab].ask(method, path, device.cookie, form)
        except BrokenError as error:
            self.figures.note("no answer", "%s %s" % (path, error))
            return None
        self.figures.answered(answer.status, started, path)
        if answer.status < 500:
            return answer
        if answer.cookie == "":
            self.figures.note(OUT, "%s with %d deleted the cookie" % (path, answer.status))
        elif answer.cookie is not None:  # the session had its new id before the failure
            self.ended.append(device.cookie)
            device.cookie = answer.cookie
            self.figures.done["a new id with an error"] += 1
        return None

    def kind(self) -> str:
        return self.random.choice(["async", "blocking"])

    async def pause(self) -> None:
        await asyncio.sleep(0.3 + self.random.random())

    def is_in(self, device: Device, answer: Answer, what: str) -> bool:
        """Whether the answer is for somebody who is signed in; else it is counted."""
        if device.is_ending:
            return answer.status == 200 and answer.json.get("user") == self.pk
        stays = answer.cookie in (None, device.cookie)
        if answer.status == 200 and answer.json.get("user") == self.pk and stays:
            handle = answer.json["handle"]
            if device.handle and device.handle != handle:
                self.figures.note("another session", what)
            device.handle = handle
            return True
        cookie = "" if stays else ", with another cookie"
        self.figures.note(OUT, "%s: %s, %d%s" % (self.name, what, answer.status, cookie))
        device.is_ending = True
        return False

    def compare(self, device: Device, counts: dict[str, int], added: int) -> None:
        for key, count in counts.items():
            least = device.counts[key] + added
            detail = "%s: %d, not %d (+ %d)" % (self.name, count, least, device.unsure[key])
            if count < least:
                self.figures.note(LOST, detail)
            elif count > least + device.unsure[key]:
                self.figures.note(DOUBLED, detail)
            device.counts[key], device.unsure[key] = count, 0

    # What they do

    async def read(self, device: Device) -> None:
        path = "/%s/read/" % self.kind()
        answer = await self.ask(device, "GET", path)
        if answer is not None and self.is_in(device, answer, path):
            self.compare(device, answer.json["counts"], 0)

    async def write(self, device: Device, key: str, tab: int = 0) -> None:
        path = "/%s/write/%s/" % (self.kind(), key)
        answer = await self.ask(device, "POST", path, tab)
        if answer is None:
            device.unsure[key] += 1
        elif self.is_in(device, answer, path):
            self.compare(device, answer.json["counts"], 1)

    async def write_twice(self) -> None:
        """Two tabs at once, each to a key of its own: both must be kept."""
        await asyncio.gather(*(self.write(self.first, key, tab) for tab, key in enumerate(KEYS)))

    async def list(self) -> int:
        """Returns how many sessions are in the list that no device has."""
        path = "/%s/list/" % self.kind()
        answer = await self.ask(self.first, "GET", path)
        if answer is None or not self.is_in(self.first, answer, path):
            return 0
        handles = set(answer.json["handles"])
        devices = [self.first] if self.second is None else [self.first, self.second]
        if missing := {each.handle for each in devices} - handles - {""}:
            self.figures.note(OUT, "%s: %d missing in the list" % (self.name, len(missing)))
        if handles & self.ended_handles:
            self.figures.note(RISEN, "%s: in the list" % self.name)
        extra = len(handles) - len(devices)
        if extra > self.strays:
            self.figures.note("sessions of nobody", "%s: %d" % (self.name, extra))
        return extra

    async def second_device(self) -> None:
        if self.second is None:
            self.second = Device()
            await self.sign_in(self.second)
            await self.read(self.second)
        elif self.second.handle and not self.second.is_ending:
            second, self.second = self.second, None
            await self.end(second)
        else:
            await self.use_second()

    async def end(self, device: Device) -> None:
        """By the first one, in one of three ways; in half of the cases while it writes itself."""
        device.is_ending = True
        path, right = self.random.choice(
            [
                ("/sessions/%s/end/" % device.handle, 302),
                ("/blocking/end/%s/" % device.handle, 200),
                ("/sessions/end-others/", 302),
            ]
        )
        writes = self.random.random() < 0.5
        late = asyncio.ensure_future(self.write(device, KEYS[0], 1)) if writes else None
        is_sure = True
        while (answer := await self.ask(self.first, "POST", path)) is None:
            is_sure = False
            await self.pause()
        if late is not None:
            await late
        what = path.replace(device.handle, "<handle>")
        is_done = answer.status == right or (answer.status == 404 and not is_sure)
        if answer.status == 404 and is_sure:
            self.figures.note(OUT, "%s: %s, 404" % (self.name, what))
        elif not is_done or answer.location.startswith("/accounts/") or answer.cookie is not None:
            self.figures.note(OUT, "%s: %s, %d, the first" % (self.name, what, answer.status))
        self.bury(device)

    def bury(self, device: Device) -> None:
        self.ended.append(device.cookie)
        self.ended_handles.add(device.handle)
        self.ended_handles.discard("")

    async def use_second(self) -> None:
        if self.second is None:
            return
        if self.second.is_ending:  # it was signed out wrongly
            self.second = None
        elif self.random.random() < 0.5:
            await self.read(self.second)
        else:
            await self.write(self.second, self.random.choice(KEYS))

    async def use_ended(self) -> None:
        """It must be as if it had never been, and stay so."""
        if not self.ended:
            return
        device = Device(self.random.choice(self.ended), is_ending=True)
        answer = await self.ask(device, "GET", "/%s/read/" % self.kind())
        if answer is None:
            return
        seen = answer.json
        if answer.status != 200 or seen["user"] is not None or any(seen["counts"].values()):
            self.figures.note(RISEN, "%s: %d" % (self.name, answer.status))

    async def sign_out_and_in(self) -> None:
        device = self.first
        device.is_ending = True
        path = self.random.choice(["/async/sign-out/", "/blocking/sign-out/", "/accounts/logout/"])
        while (answer := await self.ask(device, "POST", path)) is None:
            await self.pause()
        if answer.cookie != "":
            self.figures.note("a sign-out that was none", "%s: %d" % (path, answer.status))
        self.bury(device)
        self.first = Device()
        await self.sign_in(self.first)

    async def sign_in(self, device: Device) -> None:
        """From a session that was begun before, or from none."""
        if self.random.random() < 0.5:
            await self._begin(device)
        paths = ["/async/sign-in/", "/blocking/sign-in/", "/accounts/login/"]
        while True:
            path = self.random.choice(paths)
            form = {"username": self.name, "password": self.name}
            answer = await self.ask(device, "POST", path, form=form)
            if answer is not None and answer.cookie and answer.status in (200, 302):
                break
            if answer is None:
                self.strays += 1
                # The session from before may be gone with the new one that nobody was told of.
                device.unsure = {key: device.unsure[key] + device.counts[key] for key in KEYS}
                device.counts = dict.fromkeys(KEYS, 0)
            else:
                self.figures.note("a sign-in that failed", "%s: %d" % (path, answer.status))
            await self.pause()
        if device.cookie:
            self.ended.append(device.cookie)
        device.cookie = answer.cookie

    async def _begin(self, device: Device) -> None:
        answer = await self.ask(device, "POST", "/%s/begin/" % self.kind())
        if answer is None:
            return
        if answer.status != 200 or answer.json["user"] is not None or not answer.cookie:
            self.figures.note("no anonymous session", "%s: %d" % (self.name, answer.status))
            return
        device.cookie = answer.cookie
        device.counts[KEYS[0]] = 1
