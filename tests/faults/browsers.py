"""Users who go on clicking while a server fails, and what they have seen of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import AsyncRequestFactory, RequestFactory

from django_jam_sessions import sessions
from django_jam_sessions.engine import SessionStore

from .site import OWNER, TOKEN


@dataclass
class Figures:
    served: int = 0
    refused: int = 0  # with 503
    before: int = 0  # sessions
    after: int = 0
    ended: int = 0  # by their users
    signed_out: int = 0  # of whom nobody asked it
    resurrected: int = 0  # ended, and alive again
    lost: int = 0  # sessions without something that an answer had said was stored
    doubled: int = 0  # sessions with something that was stored twice
    longest: float = 0.0  # seconds that a request took

    def line(self, name: str) -> str:
        values = [getattr(self, each.name) for each in fields(self)]
        return "| %s | %s | %.2f s |" % (name, " | ".join(map(str, values[:-1])), values[-1])


HEAD = "| fault | %s | longest |" % " | ".join(
    each.name.replace("_", " ") for each in fields(Figures)[:-1]
)


@dataclass
class User:
    owner: str
    engine_id: str
    module_id: str
    is_out: bool = False  # or on the way: what the other tab sees is not judged

    @classmethod
    def signed_in(cls, owner: str) -> User:
        store = SessionStore()
        store[OWNER] = owner
        store.save()
        module_id = sessions.sync.create("token-" + owner, {"owner": owner})
        return cls(owner, store.session_key or "", module_id)


@dataclass
class Tab:
    """One of a user's, which asks one thing after the other and keeps a count of its own."""

    user: User
    name: str
    kind: str  # blocking or async
    figures: Figures
    leaves: bool = False  # signs its user out, as soon as the server lets it
    counted: int = 0  # as the last answer said
    unsure: int = 0  # requests since, of which no answer tells
    asked: int = 0
    is_over: bool = False
    seen: set[str] = field(default_factory=set)

    def what(self) -> str:
        self.asked += 1
        if self.leaves and self.asked > 10:
            self.user.is_out = True
            return "sign-out"
        if self.name == "module":
            return "module"
        return "read" if self.asked % 3 == 0 else "count"

    def request(self, what: str) -> Any:
        factory: Any = RequestFactory() if self.kind == "blocking" else AsyncRequestFactory()
        factory.cookies[settings.SESSION_COOKIE_NAME] = self.user.engine_id
        headers = {TOKEN: self.user.module_id}
        return factory.get("/%s/%s/%s/" % (self.kind, what, self.name), headers=headers)

    def take(self, what: str, response: Any, seconds: float) -> None:
        figures = self.figures
        figures.longest = max(figures.longest, seconds)
        cookie = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if response.status_code == 503:
            figures.refused += 1
            self.unsure += what in ("count", "module")
            if cookie is not None:
                figures.signed_out += 1
            return
        if self.user.is_out and what in ("read", "count"):
            self.is_over = True  # the other tab signs out
            self.unsure += what == "count"
            return
        assert response.status_code == 200, response.status_code
        figures.served += 1
        owner, count = response.content.decode().split()
        if what == "sign-out":
            self.is_over = True
            figures.ended += 1
            return
        if owner != self.user.owner:
            figures.signed_out += 1
            self.is_over = True
            return
        self.compare(int(count), what != "read")

    def compare(self, count: int, is_counted: bool) -> None:
        least = self.counted + is_counted
        if count < least and "lost" not in self.seen:
            self.seen.add("lost")
            self.figures.lost += 1
        if count > least + self.unsure and "doubled" not in self.seen:
            self.seen.add("doubled")
            self.figures.doubled += 1
        self.counted, self.unsure = count, 0


class Crowd:
    """Users with two tabs and a token each, who click until they are told to stop."""

    def __init__(self, kind: str, users: int) -> None:
        self.kind = kind
        self.figures = Figures(before=2 * users)
        self.users = [User.signed_in("user-%d" % number) for number in range(users)]
        self.tabs = [
            Tab(user, name, kind, self.figures, leaves=name == "two" and number % 4 == 3)
            for number, user in enumerate(self.users)
            for name in ("one", "two", "module")
        ]
        self._is_over = False

    def click(self, during: Callable[[], None]) -> None:
        """Until ``during`` has come to its end, and a round more."""
        run = self._click_blocking if self.kind == "blocking" else self._click_async
        run(during)

    def _click_blocking(self, during: Callable[[], None]) -> None:
        handler = WSGIHandler()

        def use(tab: Tab) -> None:
            while not self._is_over and not tab.is_over:
                what = tab.what()
                started = time.monotonic()
                response = handler.get_response(tab.request(what))
                tab.take(what, response, time.monotonic() - started)
                time.sleep(0.002)

        with ThreadPoolExecutor(len(self.tabs)) as threads:
            used = [threads.submit(use, tab) for tab in self.tabs]
            try:
                during()
            finally:
                self._is_over = True
        for each in used:
            each.result()

    def _click_async(self, during: Callable[[], None]) -> None:
        handler = ASGIHandler()

        async def use(tab: Tab) -> None:
            while not self._is_over and not tab.is_over:
                what = tab.what()
                started = time.monotonic()
                response = await handler.get_response_async(tab.request(what))
                tab.take(what, response, time.monotonic() - started)
                await asyncio.sleep(0.002)

        async def run() -> None:
            used = [asyncio.ensure_future(use(tab)) for tab in self.tabs]
            try:
                await asyncio.to_thread(during)
            finally:
                self._is_over = True
            await asyncio.gather(*used)

        asyncio.run(run(), debug=False)

    def settle(self) -> Figures:
        """What is stored in the end, by the cookies that the users have."""
        figures = self.figures
        left = {tab.user.owner for tab in self.tabs if tab.leaves and tab.is_over}
        for user in self.users:
            store = SessionStore(user.engine_id)
            owner = store.get(OWNER)
            data = sessions.sync.get(user.module_id, None)
            figures.after += (owner == user.owner) + (data is not None)
            if user.owner in left:
                figures.resurrected += owner is not None
            elif owner is None and user.is_out:
                figures.ended += 1  # though the answer did not come through
            elif owner is None:
                figures.signed_out += 1
            figures.signed_out += data is None
            for tab in self.tabs:
                if tab.user is user and tab.name == "module":
                    tab.compare((data or {}).get(tab.name, 0), False)
                elif tab.user is user and owner is not None:
                    tab.compare(store.get(tab.name, 0), False)
        return figures
