"""Every way in which a call can fail.

    LLMError
    ├── RouteError                     the route can't be read
    └── UpstreamError                  an attempt failed; says what may still help
        ├── UpstreamNotConfigured      no key for the provider
        ├── UpstreamUnavailable        connection refused, reset, no such host
        ├── UpstreamTimeout            no answer in time
        │   └── CallerImpatient        no answer in the shorter time that the caller gave
        ├── UpstreamFailed             5xx, 408, 409
        ├── UpstreamRateLimited        429
        │   └── UpstreamQuotaExceeded  402, or 429 because no money is left
        ├── UpstreamAuthFailed         401, 403
        ├── ModelNotFound              404
        ├── ContextWindowExceeded      400, the prompt is too long for this model
        ├── InvalidRequest             any other 4xx
        │   └── UnsupportedParameter   400, the model does not take this parameter
        ├── InvalidUpstreamResponse    200, but no answer in it
        ├── StreamInterrupted          the stream ended, stalled or broke before its finish reason
        └── ModelSkipped               not tried: its circuit breaker is open

Each class carries its own verdict: may another model help (`try_next_stage`), may the same one help in a moment
(`retryable`), does it speak against the model's health (`trips_breaker`).
"""

from __future__ import annotations

from typing import Any, ClassVar


class LLMError(Exception):
    """The root. `code` is stable and is what callers and rows see."""

    code: ClassVar[str] = "llm_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RouteError(LLMError):
    """A route can't be read; the message says where and why."""

    code = "invalid_route"


class UpstreamError(LLMError):
    """One attempt failed.

    `http_status` is what the upstream answered, null where it did not; `retry_after` is in seconds, as the upstream
    asked; `body` is the upstream's error object, as it came; `upstream_request_id` is the upstream's own name for it.
    `quoted`: the message is in the upstream's own words, which may repeat what was asked.
    """

    code = "upstream_error"
    try_next_stage: ClassVar[bool] = True
    retryable: ClassVar[bool] = False
    trips_breaker: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        body: dict[str, Any] | None = None,
        upstream_request_id: str = "",
        quoted: bool = False,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after = retry_after
        self.body = body
        self.upstream_request_id = upstream_request_id
        self.quoted = quoted


class UpstreamNotConfigured(UpstreamError):
    code = "no_upstream_key"
    trips_breaker = False


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"
    retryable = True


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"
    retryable = True


class CallerImpatient(UpstreamTimeout):
    """The caller gave less time than the settings do: what one caller asks must not open a breaker for everybody."""

    trips_breaker = False


class UpstreamFailed(UpstreamError):
    code = "upstream_failed"
    retryable = True


class UpstreamRateLimited(UpstreamError):
    code = "upstream_rate_limited"
    retryable = True


class UpstreamQuotaExceeded(UpstreamRateLimited):
    code = "upstream_quota_exceeded"
    retryable = False


class UpstreamAuthFailed(UpstreamError):
    code = "upstream_auth_failed"


class ModelNotFound(UpstreamError):
    code = "model_not_found"
    trips_breaker = False


class ContextWindowExceeded(UpstreamError):
    code = "context_window_exceeded"
    trips_breaker = False


class InvalidRequest(UpstreamError):
    code = "invalid_request"
    try_next_stage = False
    trips_breaker = False


class UnsupportedParameter(InvalidRequest):
    """`parameter` is the name that the model refused; `value_only`: another value of it might do."""

    code = "unsupported_parameter"

    def __init__(self, message: str, *, parameter: str, value_only: bool = False, **details: Any) -> None:
        super().__init__(message, **details)
        self.parameter = parameter
        self.value_only = value_only


class InvalidUpstreamResponse(UpstreamError):
    code = "invalid_upstream_response"
    retryable = True


class StreamInterrupted(UpstreamError):
    code = "stream_interrupted"
    retryable = True


class ModelSkipped(UpstreamError):
    code = "circuit_open"
    retryable = True
    trips_breaker = False
