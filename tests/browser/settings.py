"""The test project's settings, for a site in a directory of its own: see site.Site."""

import json
import os
from pathlib import Path

from testproject.settings import *  # noqa: F403

BASE_DIR = Path(os.environ["SITE_DIR"])
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
JAM_SESSIONS = {**JAM_SESSIONS, **json.loads(os.environ["SITE_SESSIONS"])}  # noqa: F405
DEBUG = False  # a debug page would fill the reports of failed tests
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
