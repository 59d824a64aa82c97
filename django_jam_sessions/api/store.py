"""SessionModule over HTTP, for services and staff who have the permission."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from ..configured import sessions
from ..infos import check_key
from .endpoints import done, page_of, permitted, shown
from .problems import Problem, body_of


@permitted("add")
async def create(request: HttpRequest) -> HttpResponse:
    body = body_of(request, "session_key", "data")
    session_key = _checked(body["session_key"])
    session_id = await sessions.create(session_key, _data_of(body))
    return JsonResponse({"session_id": session_id}, status=201)


@permitted("view")
async def get(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"data": await sessions.get(_id_of(request))})


@permitted("change")
async def update(request: HttpRequest) -> HttpResponse:
    session_id = _id_of(request)
    await sessions.update(session_id, _data_of(body_of(request, "data")))
    return done()


@permitted("delete")
async def delete(request: HttpRequest) -> HttpResponse:
    await sessions.delete(_id_of(request))
    return done()


@permitted("change")
async def rework(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"session_id": await sessions.rework(_id_of(request))})


@permitted("view")
async def list_key(request: HttpRequest, session_key: str) -> HttpResponse:
    page = await page_of(request, _checked(session_key))
    return JsonResponse({"sessions": [shown(info) for info in page], "next": page.cursor})


@permitted("delete")
async def clear_key(request: HttpRequest, session_key: str) -> HttpResponse:
    await sessions.clear(_checked(session_key))
    return done()


def _id_of(request: HttpRequest) -> str:
    session_id = getattr(request, "jam_session_id", None)
    if session_id is None:
        raise Problem(400, "The header Session-Id is missing.")
    return str(session_id)


def _checked(session_key: Any) -> str:
    try:
        return check_key(session_key)
    except (TypeError, ValueError) as error:
        raise Problem(400, str(error)) from None


def _data_of(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body["data"], dict):
        raise Problem(400, "The field data must be a JSON object.")
    return body["data"]
