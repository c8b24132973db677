"""Errors that no view has seen: an address that does not exist, a defect in middleware. JSON, like all others."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from chat.exceptions import CODES, envelope
from chat.request_ids import request_id_of


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
