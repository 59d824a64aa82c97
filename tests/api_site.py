"""A site that has the API, and callers of it, blocking and async."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import AsyncClient, Client
from django.urls import include, path

from django_jam_sessions.api.endpoints import PERMISSIONS

DOCS = Path(__file__).parent.parent / "docs"

urlpatterns = [
    path("api/", include("django_jam_sessions.api_urls")),
    path("", include("testproject.urls")),
]

# token_middleware, as the documentation shows it.
(_snippet,) = re.findall(
    r"```python\n(from hashlib.*?)```", (DOCS / "api.md").read_text(), re.DOTALL
)
exec(_snippet)

TOKEN = "the-token-of-a-service"
MIDDLEWARE = "tests.api_site.token_middleware"


def use(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]


def make_user(name: str, *actions: str) -> User:
    user: User = get_user_model().objects.create_user(name, password="x")
    kind, _ = ContentType.objects.get_or_create(app_label="jam_sessions", model="session")
    for action in actions:
        codename = PERMISSIONS[action].partition(".")[2]
        permission, _ = Permission.objects.get_or_create(
            codename=codename, content_type=kind, defaults={"name": codename}
        )
        user.user_permissions.add(permission)
    return user


class Browser(AsyncClient):
    def _get_path(self, parsed: Any) -> str:
        """UTF-8, as ASGI has it, and not WSGI's ISO 8859-1."""
        path: str = super()._get_path(parsed)  # type: ignore[misc]
        return path.encode("latin-1").decode()


class Caller:
    """A browser, or a service; ``call("GET", "store/", …)``."""

    def __init__(self, is_async: bool, user: Any = None, **options: Any) -> None:
        self.client: Any = (Browser if is_async else Client)(**options)
        self.is_async = is_async
        if user is not None:
            self.client.force_login(user)

    @property
    def id(self) -> str:
        """What the browser holds: its session's id."""
        cookie = self.client.cookies.get("sessionid")
        return cookie.value if cookie else ""

    def __call__(self, method: str, url: str, body: Any = b"", **headers: str) -> Any:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        media = headers.pop("Content-Type", "application/json")
        options: dict[str, Any] = {"content_type": media, "headers": headers}
        response = self.ask(method, "/api/" + url, body, **options)
        assert response.headers["Cache-Control"] == "no-store"
        if response.status_code >= 400 and method != "HEAD":
            check_problem(response)
        return response

    def ask(self, *args: Any, **options: Any) -> Any:
        return (async_to_sync(self._ask) if self.is_async else self.client.generic)(
            *args, **options
        )

    async def _ask(self, *args: Any, **options: Any) -> Any:
        return await self.client.generic(*args, **options)

    def own(self) -> list[dict[str, Any]]:
        sessions: list[dict[str, Any]] = self("GET", "sessions/").json()["sessions"]
        return sessions


def check_problem(response: Any) -> None:
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == response.status_code
    assert ("WWW-Authenticate" in response.headers) is (response.status_code == 401)
    assert ("Retry-After" in response.headers) is (response.status_code == 503)
    assert ("Allow" in response.headers) is (response.status_code == 405)
