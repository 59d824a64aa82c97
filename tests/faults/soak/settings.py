"""The test project's settings, encrypted, for the soak: in a directory of its own."""

import os
from pathlib import Path

from testproject.settings import *  # noqa: F403

BASE_DIR = Path(os.environ["SITE_DIR"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 20},
    }
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.faults.soak.site"
DEBUG = False
JAM_SESSIONS = {
    "SESSIONS_TYPE": "redis",
    "REDIS_URI": os.environ["REDIS_URI"],
    "IS_SESSION_CRYPT": True,
    "TOUCH_INTERVAL": 10,  # seconds: often enough to come in the way of an outage
}
