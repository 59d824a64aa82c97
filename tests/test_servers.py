"""The engine and the middleware under the servers that people run them on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from testproject.server import free_port, running

ROOT = Path(__file__).parent.parent
SERVERS = {
    "uvicorn": "uvicorn --log-level warning --port {port} tests.counting:asgi",
    "daphne": "daphne --verbosity 0 --port {port} tests.counting:asgi",
    "gunicorn --preload": "gunicorn --preload --workers 2 --threads 4 --log-level warning"
    " --bind 127.0.0.1:{port} tests.counting:wsgi",
}


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with running() as uri:
        yield uri


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, uri: str) -> Iterator[str]:
    port = free_port()
    command = SERVERS[request.param].format(port=port).split()
    environment = {**os.environ, "REDIS_URI": uri, "PYTHONWARNINGS": ""}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment)
    try:
        url = "http://127.0.0.1:%d/" % port
        until_up(url)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def until_up(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(url, timeout=10).close()
            return
        time.sleep(0.05)
    raise AssertionError("The server did not start.")


def visit(url: str, times: int) -> list[int]:
    """What a browser with a cookie of its own sees."""
    handler = urllib.request.HTTPCookieProcessor(CookieJar())
    browser = urllib.request.build_opener(handler)
    seen = []
    for _ in range(times):
        with browser.open(url, timeout=30) as response:
            seen.append(int(response.read()))
    return seen


@pytest.mark.parametrize("page", ["", "blocking/"])
def test_browsers_count_their_own_visits(server: str, page: str) -> None:
    with ThreadPoolExecutor(16) as threads:
        for seen in threads.map(lambda _: visit(server + page, 10), range(32)):
            assert seen == list(range(1, 11))


PYTEST_ASYNCIO = """
import pytest
from django_jam_sessions import SessionModule

module = SessionModule("redis", redis_uri={uri!r})
ids = []

@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(3))
async def test_each_test_has_a_loop_of_its_own(number):
    ids.append(await module.create("pytest-asyncio", {{"n": number}}))
    assert [(await module.get(each))["n"] for each in ids] == list(range(number + 1))
"""


def test_pytest_asyncio_may_call_it(tmp_path: Path, uri: str) -> None:
    (tmp_path / "test_loops.py").write_text(PYTEST_ASYNCIO.format(uri=uri))
    command = [sys.executable, "-X", "dev", "-m", "pytest", "-q", "-W", "error"]
    command += ["-o", "asyncio_default_fixture_loop_scope=function"]
    command += ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:django", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
