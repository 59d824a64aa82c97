"""``python -m tests.fuzz [target …]``: atheris makes inputs up, SECONDS for each target.

What it finds worth keeping stays in ``.fuzz/``, a directory for each target, from run to run. An
input that fails ends the target, is written there and shown as the line that ``corpus/`` wants.
``--keep`` adds to ``corpus/`` the fewest inputs that reach what all of them reach.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from . import CORPUS, TARGETS, kept

FOUND = Path(".fuzz")
MAX_LENGTH = 1024  # bytes of an input; what is longer is written by hand
SEED = "1"


def main(arguments: list[str]) -> int:
    keeping = "--keep" in arguments
    targets = [each for each in arguments if not each.startswith("-")] or TARGETS
    failed = [target for target in targets if not (keep if keeping else fuzz)(target)]
    if failed:
        sys.stderr.write("Failed: %s\n" % ", ".join(failed))
    return len(failed)


def fuzz(target: str) -> bool:
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as seeds:
        unpack(target, Path(seeds))
        options = [
            "-max_total_time=%s" % os.environ.get("SECONDS", "60"),
            "-max_len=%d" % MAX_LENGTH,
            "-artifact_prefix=%s/" % found,
            "-print_final_stats=1",
        ]
        output, is_good = libfuzzer(target, *options, str(found), seeds)
    sys.stdout.write("%-10s %s\n" % (target, summary(output)))
    if not is_good:
        sys.stdout.write(output[-4000:])
        for name in re.findall(r"Test unit written to (\S+)", output):
            sys.stdout.write("\nThe input: %r\n" % Path(name).read_bytes())
            os.rename(name, FOUND / Path(name).name)
    sys.stdout.flush()
    return is_good


def keep(target: str) -> bool:
    """Add to the corpus what reaches code that nothing in it reaches."""
    have = kept(target)
    with tempfile.TemporaryDirectory() as merged:
        unpack(target, Path(merged))
        _, is_good = libfuzzer(target, "-merge=1", merged, str(FOUND / target))
        inputs = {path.read_bytes() for path in Path(merged).iterdir()} - set(have)
    with (CORPUS / (target + ".txt")).open("a") as lines:
        lines.writelines("%r\n" % each for each in sorted(inputs, key=lambda i: (len(i), i)))
    sys.stdout.write("%-10s %d added\n" % (target, len(inputs)))
    return is_good


def unpack(target: str, directory: Path) -> None:
    for number, each in enumerate(kept(target)):
        (directory / str(number)).write_bytes(each)


def libfuzzer(target: str, *options: str) -> tuple[str, bool]:
    command = [sys.executable, "-m", "tests.fuzz.run", target, *options]
    # libFuzzer ends without a word to Python: what the target has made is left in here.
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "TMPDIR": directory},
            check=False,
        )
    return done.stdout + done.stderr, done.returncode == 0


def summary(output: str) -> str:
    """Executions, the coverage that libFuzzer counts, and the inputs it keeps."""
    executed = re.findall(r"number_of_executed_units: (\d+)", output) or re.findall(
        r"^#(\d+)", output, re.MULTILINE
    )
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", output)
    numbers = covered[-1] if covered else ("?", "?", "?")
    return "%10s executions, %5s edges, %6s features, %4s inputs" % (
        executed[-1] if executed else "?",
        *numbers,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
