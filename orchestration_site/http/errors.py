"""Answers to requests that no view has answered, such as a request for an address that does not exist.

They are JSON in the same envelope as all other errors. The functions with two parameters are Django's error handlers
(`handler404` and so on in urls.py).
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from chat.errors import CODES, envelope
from chat.request_ids import request_id_of
from orchestration_site.http.addresses import read_address


def is_openai_address(path: str) -> bool:
    """Whether the path belongs to the OpenAI protocol, whose errors have more fields."""
    return read_address(path).path.startswith("/v1/")


def error_body(path: str, status: int, code: str, message: str, request_id: str) -> dict[str, Any]:
    """The JSON of an error that is answered before any view sees the request.

    In the OpenAI protocol it also has the fields that OpenAI's SDKs look for.
    """
    body: dict[str, Any] = envelope(code, message, request_id)
    if is_openai_address(path):
        kind = "permission_error" if status == 403 else "invalid_request_error"
        body["error"] |= {"type": kind, "param": None}
    return body


def error_response(request: HttpRequest, status: int, code: str, message: str) -> JsonResponse:
    """The answer to a request that is refused before any view sees it."""
    body = error_body(request.path_info, status, code, message, request_id_of(request))
    return JsonResponse(body, status=status)


def _answer(request: HttpRequest, status: int, message: str) -> JsonResponse:
    return JsonResponse(envelope(CODES[status], message, request_id_of(request)), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _answer(request, 400, "The request can't be read.")


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _answer(request, 403, "Permission denied.")


@csrf_exempt
def nothing_here(request: HttpRequest) -> JsonResponse:
    """The view for addresses that no other view has."""
    return not_found(request, Exception())


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _answer(request, 404, f"There is nothing at {request.path}.")


def server_error(request: HttpRequest) -> JsonResponse:
    return _answer(request, 500, "The service failed to handle this request.")
