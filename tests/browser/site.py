"""The test project's site as a process: on a backend, under a server, with people in it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from testproject.server import free_port

ROOT = Path(__file__).parent.parent.parent
SERVERS = {
    "uvicorn": "uvicorn --log-level info --port {port} tests.browser.servers:asgi",
    "gunicorn": "gunicorn --threads 8 --access-logfile - --bind 127.0.0.1:{port}"
    " tests.browser.servers:wsgi",
}
START_SECONDS = 60.0


class Site:
    """``options`` are for JAM_SESSIONS, in any case; ``server`` is a name of SERVERS."""

    def __init__(self, directory: Path, options: dict[str, Any], server: str = "uvicorn") -> None:
        self.directory, self.options, self.server = directory, options, server
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, module: str, *arguments: str) -> None:
        """Run a module with the site's settings, to its end."""
        command = [sys.executable, "-m", module, *arguments]
        subprocess.run(command, cwd=ROOT, env=self._environment(), check=True)

    def start(self) -> None:
        command = [sys.executable, "-m", *SERVERS[self.server].format(port=self.port).split()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment(), stdout=log, stderr=log
            )
        self._wait(self._process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def restart(self, **options: Any) -> None:
        """With further options, or as it was."""
        self.stop()
        self.options = {**self.options, **options}
        self.start()

    def _environment(self) -> dict[str, str]:
        named = {name.upper(): value for name, value in self.options.items()}
        return {
            **os.environ,
            "SITE_DIR": str(self.directory),
            "SITE_SESSIONS": json.dumps(named, default=str),
            "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
            "PYTHONWARNINGS": "",  # a server's own are not ours
        }

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(self.url + "/accounts/login/", timeout=10).close()
                return
            time.sleep(0.02)
        raise RuntimeError("The site did not start:\n%s" % self.log.read_text())
