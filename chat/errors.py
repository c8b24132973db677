"""Errors to answers, in one place: which status each has, and the one envelope that they all share."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from chat.request_ids import request_id_of
from llm import (
    CallOutcome,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamNotConfigured,
    UpstreamRateLimited,
    UpstreamTimeout,
)

logger = logging.getLogger("chat")

STATUS_OF_ERROR: tuple[tuple[type[UpstreamError], int], ...] = (
    (InvalidRequest, 400),
    (ContextWindowExceeded, 400),
    (ModelNotFound, 404),
    (UpstreamRateLimited, 429),
    (UpstreamTimeout, 504),
    (UpstreamNotConfigured, 503),
    (UpstreamError, 502),
)
"""What a caller is answered when nothing succeeded, by the error that decided. The first class that fits counts."""

CODES = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "idempotency_key_in_use",
    413: "request_too_large",
    415: "unsupported_media_type",
    422: "idempotency_key_reused",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal_error",
    503: "unavailable",
}


REFUSALS = (401, 403, 429)
"""What our own access rules answer. Each is logged."""


class CallFailed(exceptions.APIException):
    """A call ended with no answer. The outcome says why, and what was tried."""

    def __init__(self, outcome: CallOutcome) -> None:
        assert outcome.error is not None
        super().__init__(outcome.error.message)
        self.outcome = outcome
        self.error = outcome.error
        self.status_code = status_of(outcome.error)


class Stopping(exceptions.APIException):
    """The service ends before the call does. Another process, or the next one, can take it."""

    status_code = 503
    default_detail = "The service is stopping, and its time for open calls is over. Please try again."
    wait = 1.0


def status_of(error: UpstreamError) -> int:
    return next(status for kind, status in STATUS_OF_ERROR if isinstance(error, kind))


def openai_status_of(error: UpstreamError) -> int:
    """What an OpenAI client is answered: the upstream's own status, so that its SDK raises the error it knows.

    Our key is no business of the caller's: an upstream that refuses it is an upstream that failed.
    """
    status = error.http_status
    if isinstance(error, UpstreamAuthFailed) or status is None or not 400 <= status <= 599:
        return status_of(error)
    return status


def envelope(code: str, message: str, request_id: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """{"error": {"code", "message", "request_id", "details"?}}"""
    error: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    if details:
        error["details"] = details
    return {"error": error}


def failure_envelope(outcome: CallOutcome, request_id: str) -> dict[str, Any]:
    """The envelope of a call that failed: every attempt and its cause is in the details."""
    assert outcome.error is not None
    attempts = [
        {
            "model": attempt.model,
            "provider": attempt.provider,
            "status": attempt.status,
            "error_code": attempt.error.code if attempt.error else None,
            "message": attempt.error.message if attempt.error else None,
            "http_status": attempt.http_status,
            "latency_ms": attempt.latency_ms,
        }
        for attempt in outcome.attempts
    ]
    return envelope(outcome.error.code, outcome.error.message, request_id, {"attempts": attempts})


def handle(exception: Exception, context: Mapping[str, Any]) -> Response:
    """REST framework's exception handler. It runs on the event loop: nothing in here may block."""
    request_id = request_id_of(context["request"])
    match exception:
        case CallFailed():
            body = failure_envelope(exception.outcome, request_id)
            return Response(body, exception.status_code, headers=retry_after_header(exception.error.retry_after))
        case exceptions.ValidationError():
            fields = flatten(exception.detail)
            message = " ".join(f"{name}: {reasons[0]}" if name else reasons[0] for name, reasons in fields.items())
            return Response(envelope(CODES[400], message, request_id, {"fields": fields}), 400)
        case exceptions.APIException():
            code = CODES.get(exception.status_code, "error")
            headers = _headers(exception)
            if exception.status_code in REFUSALS:
                _log_refusal(exception, code, context["request"])
            return Response(envelope(code, str(exception.detail), request_id), exception.status_code, headers=headers)
        case Http404():
            return Response(envelope(CODES[404], str(exception) or "Not found.", request_id), 404)
        case DatabaseError():
            logger.error("database_error", exc_info=exception, extra={"request_id": request_id})
            return Response(envelope(CODES[503], "The database can't be reached at the moment.", request_id), 503)
        case PermissionDenied():
            return Response(envelope(CODES[403], "Permission denied.", request_id), 403)
    logger.error("unhandled_error", exc_info=exception, extra={"request_id": request_id})
    return Response(envelope(CODES[500], "The service failed to handle this request.", request_id), 500)


def _log_refusal(exception: exceptions.APIException, code: str, request: Any) -> None:
    """It reached no model, and so it has no row. The message names the key, and never holds it."""
    extra = {
        "request_id": request_id_of(request),
        "code": code,
        "http_status": exception.status_code,
        "detail": str(exception.detail),
        "path": request.path,
        "client_ip": request.META.get("REMOTE_ADDR"),
    }
    logger.info("request_refused", extra=extra)


def _headers(exception: exceptions.APIException) -> dict[str, str]:
    """How to authenticate, when to try again, what is left of a limit."""
    scheme = getattr(exception, "auth_header", None)  # set by the view, from its authentication class
    challenge = {"WWW-Authenticate": scheme} if scheme else {}
    return challenge | retry_after_header(getattr(exception, "wait", None)) | getattr(exception, "headers", {})


def retry_after_header(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}


def flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    """REST framework's nested details as `messages.0.role`: [reasons]."""
    if isinstance(detail, Mapping):
        pairs: Any = detail.items()
    elif isinstance(detail, list) and any(isinstance(item, Mapping | list) for item in detail):
        pairs = enumerate(detail)
    else:
        return {path: [str(reason) for reason in (detail if isinstance(detail, list) else [detail])]}
    flat: dict[str, list[str]] = {}
    for name, inner in pairs:
        if inner:
            step = "" if name == "non_field_errors" else str(name)
            flat.update(flatten(inner, f"{path}.{step}" if path and step else path or step))
    return flat
