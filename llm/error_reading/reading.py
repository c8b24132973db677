"""Translating what the HTTP client raises, and what an upstream answers, into our own errors."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from llm.error_reading import words
from llm.error_reading.names import error_class
from llm.error_reading.shapes import Said, read_shape
from llm.error_reading.words import SEARCHED
from llm.errors import (
    InvalidRequest,
    NotSupported,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.json_values import sanitized

# How many characters of an upstream's message are kept.
MAX_MESSAGE = 1_000

# The longest Retry-After that is believed, in seconds. An upstream with a daily limit may ask for a whole day. A longer
# wait is taken for a mistake, which must not make a model unavailable.
MAX_RETRY_AFTER = 86_400.0

# The code by which an upstream refuses a value of a parameter, and might take another one.
UNSUPPORTED_VALUE = "unsupported_value"

# The codes by which an upstream refuses a parameter, or a value of it.
UNSUPPORTED = frozenset({"unsupported_parameter", UNSUPPORTED_VALUE})

# Parameters that ask for something that a model may lack. One that refuses them is not able to do what was asked for.
FEATURES = frozenset(
    {
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "modalities",
        "audio",
        "web_search_options",
    }
)


def read_error(error: object, *, http_status: int | None, headers: Mapping[str, str] | None = None) -> UpstreamError:
    """The error that an upstream named.

    `error` is the body of a failed request, or what stands in the place of an answer or a chunk: JSON of any shape, or
    text. `http_status` is the status of that answer, which may be 200.
    """
    headers = headers or {}
    try:
        said = read_shape(sanitized(error))
    except ValueError:
        said = Said(message="The upstream's error is nested too deeply.")
    status = http_status
    if status in (None, 200):
        status = said.status or status
    message = _clean(said.message) or f"The upstream answered with status {http_status}."
    details: dict[str, Any] = {
        "http_status": http_status,
        "retry_after": _retry_after(headers),
        "body": _clean_json(said.body),
        "upstream_request_id": headers.get("x-request-id", ""),
        "quoted": bool(said.message),
        "parameter": said.parameter,
        "says": said.message[:SEARCHED],
    }
    kind = error_class(said, status)
    if refused := _refused_parameter(said, kind):
        parameter, value_only = refused
        if parameter.partition(".")[0] in FEATURES:
            return NotSupported(message, **details)
        return UnsupportedParameter(message, **{**details, "parameter": parameter}, value_only=value_only)
    if kind is UpstreamAuthFailed:
        # The upstream's own words are dropped, because they may quote a part of the key.
        kept = {**details, "body": None, "quoted": False, "says": ""}
        return UpstreamAuthFailed("The upstream refused our key.", **kept)
    return kind(message, **details)


def read_exception(exception: Exception) -> UpstreamError:
    """The error that an exception of the HTTP client means: there was no answer, or none in time."""
    if isinstance(exception, TimeoutError):
        return UpstreamTimeout("The upstream took no connection or no data in time.")
    return UpstreamUnavailable(f"The connection to the upstream failed: {type(exception).__name__}.")


def _refused_parameter(said: Said, kind: type[UpstreamError]) -> tuple[str, bool] | None:
    """The parameter that was refused, and whether only its value was; None if the error is of another kind."""
    if said.code in UNSUPPORTED and said.parameter:
        return said.parameter, said.code == UNSUPPORTED_VALUE
    return words.refused_parameter(said.message) if issubclass(kind, InvalidRequest | NotSupported) else None


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


def _clean(text: str) -> str:
    """A text of limited length, without anything that looks like an API key."""
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
