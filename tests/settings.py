"""Settings of the test suite: the test project's, on stores of the suite's own."""

import atexit
import shutil
import tempfile
from pathlib import Path

from testproject.settings import *  # noqa: F403

from . import django_suite

SECRET_KEY = "a-secret-key-for-the-tests-alone-and-nothing-else-at-all"
DEBUG = False
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
_directory = tempfile.mkdtemp(prefix="jam-sessions-")
atexit.register(shutil.rmtree, _directory, ignore_errors=True)
JAM_SESSIONS = {"JSON_PATH": Path(_directory) / "sessions"}

# Django's own session tests have models; they come with its source distribution.
django_suite.prepare()
INSTALLED_APPS = [*INSTALLED_APPS, "sessions_tests"]  # noqa: F405
