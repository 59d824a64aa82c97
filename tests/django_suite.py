"""Django's own session tests, from the source distribution of the Django that is installed.

They are fetched once per release and kept in the user's cache, outside the repository.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "django-jam-sessions"


def prepare() -> None:
    """Make ``sessions_tests`` importable."""
    CACHE.mkdir(parents=True, exist_ok=True)
    home = CACHE / ("django-%s" % django.__version__)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel workers start at the same time
        if not home.exists():
            _fetch(home)
    # A folder of its own: Django's tests folder holds names that would shadow others.
    sys.path.append(str(home))


def _fetch(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", folder, "django==" + django.__version__]
        subprocess.run(command, check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            with contextlib.suppress(AttributeError):
                tar.extraction_filter = tarfile.data_filter
            prefix = "/tests/sessions_tests/"
            tar.extractall(folder, [m for m in tar.getmembers() if prefix in m.name])
        (tests,) = Path(folder).glob("*/tests")
        tests.rename(home)
