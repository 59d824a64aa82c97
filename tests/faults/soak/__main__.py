"""Users click for long while the server is killed and stopped in turn: ``make soak``.

MINUTES, USERS, THINK (mean seconds between two clicks) and EVERY (seconds between two restarts)
are taken from the environment; SAMPLES names a file for all that was sampled. Ends with 1 where a
promise was broken.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from .run import Soak


def main() -> int:
    def given(name: str, default: float) -> float:
        return float(os.environ.get(name) or default)

    with tempfile.TemporaryDirectory(prefix="jam-sessions-soak-") as directory:
        soak = Soak(
            Path(directory),
            seconds=60 * given("MINUTES", 30),
            users=int(given("USERS", 100)),
            think=given("THINK", 3),
            every=given("EVERY", 120),
        )
        asyncio.run(soak.run())
        sys.stdout.write(soak.report())
        if path := os.environ.get("SAMPLES"):
            lines = (json.dumps(asdict(sample)) + "\n" for sample in soak.samples)
            Path(path).write_text("".join(lines))
    return int(bool(soak.figures.wrong))


if __name__ == "__main__":
    sys.exit(main())
