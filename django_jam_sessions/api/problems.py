"""What can be wrong with a request to the API: answered as RFC 9457 has it, never with an id."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any, NoReturn

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from ..exceptions import SessionDataTooLarge, SessionNotFoundError, SessionStoreUnavailable
from ..unavailable import RETRY_AFTER, outages

MAX_DEPTH = 100  # of what is nested: whoever reads it back has a stack that is used already


class Problem(Exception):  # noqa: N818 - the RFC's word
    """An answer that is not the one that was asked for."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def response(self) -> JsonResponse:
        content = {
            "type": "about:blank",  # RFC 9457, 4.2.1: the status says it all
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        media_type = "application/problem+json"
        response = JsonResponse(
            content, status=self.status, content_type=media_type, headers=self.headers
        )
        # Django logs each 5xx; outages are logged once in a while.
        response._has_been_logged = self.status == 503  # type: ignore[attr-defined]
        return response


def problem_of(error: Exception) -> Problem | None:
    """What the client is told of an exception; None where it is a fault of the site."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, SessionNotFoundError):
        return Problem(404, str(error))
    if isinstance(error, SessionDataTooLarge):
        return Problem(413, str(error))
    if isinstance(error, RequestDataTooBig):
        return Problem(413, "The body is longer than this site reads.")
    if isinstance(error, SessionStoreUnavailable):
        outages.note(error, refused=1)
        again = {"Retry-After": str(RETRY_AFTER)}
        return Problem(503, "The store of the sessions does not answer.", again)
    if isinstance(error, _UNREADABLE):
        return Problem(400, "The request can't be read.")
    return None


_UNREADABLE = (SuspiciousOperation, BadRequest, MultiPartParserError, UnreadablePostError)


def body_of(request: HttpRequest, *fields: str) -> dict[str, Any]:
    """The JSON object that the request holds, with exactly these fields; raises Problem."""
    if request.content_type != "application/json":
        raise Problem(415, "The body must be application/json.")
    try:
        body = _decode(request.body.decode())
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Problem(400, "The body is no JSON that can be read: %s." % reason) from None
    if not isinstance(body, dict):
        raise Problem(400, "The body must be a JSON object.")
    for field in fields:
        if field not in body:
            raise Problem(400, "The field %s is missing." % field)
    if len(body) > len(fields):
        raise Problem(400, "There are other fields than %s." % ", ".join(fields))
    if _is_deeper(body, MAX_DEPTH):
        raise Problem(400, "The body is nested more than %d levels deep." % MAX_DEPTH)
    return body


def _no_number(text: str) -> NoReturn:
    raise ValueError("%s is no number of JSON" % text)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


_decode = json.JSONDecoder(parse_constant=_no_number, parse_float=_number).decode


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in value)
