"""A site that uses django-jam-sessions: on JSON, or on the Redis that REDIS_URI names."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent / ".demo"
BASE_DIR.mkdir(exist_ok=True)  # what it writes is here, and git knows nothing of it
SECRET_KEY = "the-demo-is-no-secret-use-a-key-of-your-own"
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]
ROOT_URLCONF = "testproject.urls"
WSGI_APPLICATION = "testproject.wsgi.application"
ASGI_APPLICATION = "testproject.asgi.application"

INSTALLED_APPS = [
    "testproject",  # first: it has templates to put before the package's
    "django_jam_sessions",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",  # for Django's own clearsessions command
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django_jam_sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

SESSION_ENGINE = "django_jam_sessions.engine"
JAM_SESSIONS: dict[str, object] = {}
if os.environ.get("REDIS_URI"):
    JAM_SESSIONS = {"SESSIONS_TYPE": "redis", "REDIS_URI": os.environ["REDIS_URI"]}

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
STATIC_URL = "static/"
TIME_ZONE = "UTC"
USE_TZ = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
