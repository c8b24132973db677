"""Translating what the HTTP client raises, and what an upstream answers, into our own errors."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from llm.errors import (
    ContextWindowExceeded,
    InvalidRequest,
    InvalidUpstreamResponse,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.json_values import sanitized

# How many characters of an upstream's message are kept.
MAX_MESSAGE = 1_000

# The longest Retry-After that is believed, in seconds. An upstream with a daily limit may ask for a whole day. A longer
# wait is taken for a mistake, which must not make a model unavailable.
MAX_RETRY_AFTER = 86_400.0

# Codes and types by which providers name an error.
NAMED: dict[str, type[UpstreamError]] = {
    "insufficient_quota": UpstreamQuotaExceeded,
    "billing_hard_limit_reached": UpstreamQuotaExceeded,
    "rate_limit_exceeded": UpstreamRateLimited,
    "rate_limit_error": UpstreamRateLimited,
    "ratelimiterror": UpstreamRateLimited,
    "context_length_exceeded": ContextWindowExceeded,
    "model_not_found": ModelNotFound,
    "not_found_error": ModelNotFound,
    "notfounderror": ModelNotFound,
    "invalid_api_key": UpstreamAuthFailed,
    "authentication_error": UpstreamAuthFailed,
    "permission_error": UpstreamAuthFailed,
    "invalid_request_error": InvalidRequest,
    "badrequesterror": InvalidRequest,
    "invalid_prompt": InvalidRequest,
    "content_policy_violation": InvalidRequest,
    "timeout": UpstreamTimeout,
}

# The code by which an upstream refuses a value of a parameter, and might take another one.
UNSUPPORTED_VALUE = "unsupported_value"

# The codes by which an upstream refuses a parameter, or a value of it.
UNSUPPORTED = frozenset({"unsupported_parameter", UNSUPPORTED_VALUE})


def read_error(error: object, *, http_status: int | None, headers: Mapping[str, str] | None = None) -> UpstreamError:
    """The error that an upstream named.

    `error` is its error object, or whatever it sent instead. It may come from the body of a failed request, from a 200,
    or from the middle of a stream; `http_status` is the status of that answer.
    """
    headers = headers or {}
    try:
        error = sanitized(error)
    except ValueError:
        error = "The upstream's error is nested too deeply."
    body = error if isinstance(error, dict) else {}
    code, kind = body.get("code"), body.get("type")
    status = http_status
    if status in (None, 200) and re.fullmatch("[45][0-9][0-9]", str(code)):
        status = int(str(code))  # vLLM and others put the status into the error object of a 200
    said = _clean(body.get("message") if body else error)
    message = said or f"The upstream answered with status {http_status}."
    details: dict[str, Any] = {
        "http_status": http_status,
        "retry_after": _retry_after(headers),
        "body": _clean_json(body) or None,
        "upstream_request_id": headers.get("x-request-id", ""),
        "quoted": bool(said),
    }
    if str(code) in UNSUPPORTED and isinstance(body.get("param"), str):
        value_only = code == UNSUPPORTED_VALUE
        return UnsupportedParameter(message, parameter=body["param"], value_only=value_only, **details)
    error_class = _error_class(str(code).lower(), str(kind).lower(), status)
    if error_class is UpstreamAuthFailed:
        # The upstream's own words are dropped, because they may quote a part of the key.
        return UpstreamAuthFailed("The upstream refused our key.", **{**details, "body": None, "quoted": False})
    return error_class(message, **details)


def read_exception(exception: Exception) -> UpstreamError:
    """The error that an exception of the HTTP client means: there was no answer, or none in time."""
    if isinstance(exception, TimeoutError):
        return UpstreamTimeout("The upstream took no connection or no data in time.")
    return UpstreamUnavailable(f"The connection to the upstream failed: {type(exception).__name__}.")


def _error_class(code: str, kind: str, status: int | None) -> type[UpstreamError]:
    """The class of an error by its code, else by its status, else by its type, which is often too general."""
    if status == 402:
        return UpstreamQuotaExceeded  # whatever the code is: some providers give that of an invalid request
    if code in NAMED:
        return NAMED[code]
    if status in (None, 200) and kind in NAMED:
        return NAMED[kind]
    return _by_status(status)


def _by_status(status: int | None) -> type[UpstreamError]:
    match status:
        case 401 | 403:
            return UpstreamAuthFailed
        case 404:
            return ModelNotFound
        case 408 | 409 | None | 200:
            return UpstreamFailed
        case 429:
            return UpstreamRateLimited
        case _ if status >= 500:
            return UpstreamFailed
        case _ if status >= 400:
            return InvalidRequest
    return InvalidUpstreamResponse


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from OpenAI's retry-after-ms, else from Retry-After (seconds or an HTTP date); None if unreadable."""
    written = headers.get("retry-after", "")
    for number, unit in ((headers.get("retry-after-ms", ""), 0.001), (written, 1.0)):
        try:
            seconds = float(number) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return min(max(0.0, seconds), MAX_RETRY_AFTER)
    try:
        until = email.utils.parsedate_to_datetime(written).timestamp()
        return min(max(0.0, until - time.time()), MAX_RETRY_AFTER)
    except (ValueError, TypeError, OverflowError):
        return None


def _clean(message: object) -> str:
    """The message as a text of limited length, without anything that looks like an API key."""
    text = message if isinstance(message, str) else "" if message is None else json.dumps(message, default=str)
    return re.sub(r"\b(sk|rk|pk)-[\w*.-]{4,}", "[redacted]", text)[:MAX_MESSAGE]


def _clean_json(value: Any) -> Any:
    """The value with all texts in it cleaned."""
    match value:
        case str():
            return _clean(value)
        case dict():
            return {name: _clean_json(inner) for name, inner in value.items()}
        case list():
            return [_clean_json(inner) for inner in value]
    return value
