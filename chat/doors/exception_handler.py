"""REST framework's exception handler: it turns every exception of a view into an answer with the one envelope."""

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

from chat.doors.refusal_log import log_refusal
from chat.errors import CODES, CallFailed, envelope, failure_envelope
from chat.request_ids import request_id_of

logger = logging.getLogger("chat")

# The statuses with which our own access rules refuse a request. Each refusal is logged.
REFUSALS = (401, 403, 429)


def handle(exception: Exception, context: Mapping[str, Any]) -> Response:
    """The answer to an exception. This runs on the event loop, so nothing in here may block."""
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
            message, headers = str(exception.detail), _headers(exception)
            if exception.status_code in REFUSALS:
                log_refusal(logger, context["request"], status=exception.status_code, code=code, detail=message)
            return Response(envelope(code, message, request_id), exception.status_code, headers=headers)
        case Http404():
            return Response(envelope(CODES[404], str(exception) or "Not found.", request_id), 404)
        case DatabaseError():
            logger.error("database_error", exc_info=exception, extra={"request_id": request_id})
            return Response(envelope(CODES[503], "The database can't be reached at the moment.", request_id), 503)
        case PermissionDenied():
            return Response(envelope(CODES[403], "Permission denied.", request_id), 403)
    logger.error("unhandled_error", exc_info=exception, extra={"request_id": request_id})
    return Response(envelope(CODES[500], "The service failed to handle this request.", request_id), 500)


def retry_after_header(seconds: float | None) -> dict[str, str]:
    """The header that says when to try again, where that is known. HTTP wants whole seconds there."""
    return {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}


def flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    """REST framework's nested details as one mapping, like `{"messages.0.role": [reasons]}`."""
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


def _headers(exception: exceptions.APIException) -> dict[str, str]:
    """The headers that say how to authenticate, when to try again, and what is left of a limit."""
    scheme = getattr(exception, "auth_header", None)  # The view has set it, from its authentication class.
    challenge = {"WWW-Authenticate": scheme} if scheme else {}
    return challenge | retry_after_header(getattr(exception, "wait", None)) | getattr(exception, "headers", {})
