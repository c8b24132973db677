"""What can go wrong with a request, the status that each error has, and the one envelope that all errors share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import exceptions, serializers

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

# The status that a caller of a native door gets when no model answered, by the error that decided. The first class
# that fits counts, so the general class is the last one.
STATUS_OF_ERROR: tuple[tuple[type[UpstreamError], int], ...] = (
    (InvalidRequest, 400),
    (ContextWindowExceeded, 400),
    (ModelNotFound, 404),
    (UpstreamRateLimited, 429),
    (UpstreamTimeout, 504),
    (UpstreamNotConfigured, 503),
    (UpstreamError, 502),
)

# The error code in the envelope, for errors of our own, by their status.
CODES = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
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


class CallFailed(exceptions.APIException):
    """A call ended with no answer. `outcome` says why, and which attempts were made."""

    def __init__(self, outcome: CallOutcome) -> None:
        assert outcome.error is not None
        super().__init__(outcome.error.message)
        self.outcome = outcome
        self.error = outcome.error
        self.status_code = status_of(outcome.error)


class Stopping(exceptions.APIException):
    """The service stops before the call has ended. The caller can ask again: another process will answer."""

    status_code = 503
    default_detail = "The service is stopping, and its time for open calls is over. Please try again."
    wait = 1.0


# The envelope as the schema describes it. These two classes have no docstrings, because the schema would repeat them.
class ErrorBodySerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    request_id = serializers.CharField()
    details = serializers.DictField(required=False)


class ErrorSerializer(serializers.Serializer[Any]):
    error = ErrorBodySerializer()


def status_of(error: UpstreamError) -> int:
    """The status that a caller of a native door gets for this error."""
    return next(status for kind, status in STATUS_OF_ERROR if isinstance(error, kind))


def openai_status_of(error: UpstreamError) -> int:
    """The status that an OpenAI client gets: the upstream's own, so that its SDK raises the error that it knows.

    An upstream that refuses our key is different: the caller can't change our key, so it gets the status of an upstream
    that failed. A prompt that is too long is a 400, as OpenAI has it, also where a server says it with 413, 422 or 500.
    """
    status = error.http_status
    if isinstance(error, UpstreamAuthFailed | ContextWindowExceeded) or status is None or not 400 <= status <= 599:
        return status_of(error)
    return status


def envelope(code: str, message: str, request_id: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """{"error": {"code", "message", "request_id", "details"?}}"""
    error: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    if details:
        error["details"] = details
    return {"error": error}


def failure_envelope(outcome: CallOutcome, request_id: str) -> dict[str, Any]:
    """The envelope of a call that failed. Its details list every attempt with the cause of its failure."""
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
