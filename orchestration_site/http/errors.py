"""Errors that no view has seen: an address that does not exist, a defect in middleware. JSON, like all others."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from chat.errors import CODES, envelope
from chat.request_ids import request_id_of


def refusal(request: HttpRequest, status: int, code: str, message: str) -> JsonResponse:
    """What is refused before any view: the envelope, and under /v1 what OpenAI's SDKs look for besides."""
    body: dict[str, Any] = envelope(code, message, request_id_of(request))
    if request.path_info.startswith("/v1/"):
        kind = "permission_error" if status == 403 else "invalid_request_error"
        body["error"] |= {"type": kind, "param": None}
    return JsonResponse(body, status=status)


def _answer(request: HttpRequest, status: int, message: str) -> JsonResponse:
    return JsonResponse(envelope(CODES[status], message, request_id_of(request)), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _answer(request, 400, "The request can't be read.")


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _answer(request, 403, "Permission denied.")


@csrf_exempt
def nothing_here(request: HttpRequest) -> JsonResponse:
    """A view for addresses that no other view has."""
    return not_found(request, Exception())


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _answer(request, 404, f"There is nothing at {request.path}.")


def server_error(request: HttpRequest) -> JsonResponse:
    return _answer(request, 500, "The service failed to handle this request.")
