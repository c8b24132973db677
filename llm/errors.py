"""Every way in which a call can fail.

    LLMError
    ├── RouteError                     the route can't be read
    └── UpstreamError                  an attempt failed; says what may still help
        ├── UpstreamNotConfigured      no key for the provider
        │   └── UpstreamMisconfigured  a key or a base URL that no request can be sent with
        ├── UpstreamUnavailable        connection refused, reset, no such host
        ├── UpstreamTimeout            no answer in time
        │   └── CallerImpatient        no answer in the time of a caller who gave less than the settings do
        ├── UpstreamFailed             5xx, 408, 409
        ├── UpstreamRateLimited        429
        │   └── UpstreamQuotaExceeded  402, or 429 because no money is left
        ├── UpstreamAuthFailed         401, 403
        ├── ModelNotFound              404
        ├── ContextWindowExceeded      the prompt is too long for this model, whatever the status is
        ├── NotSupported               405, 501, or a feature or an API that this model has not
        ├── InvalidRequest             any other 4xx
        │   └── UnsupportedParameter   400, the model does not take this parameter
        ├── InvalidUpstreamResponse    200, but no answer in it
        ├── EmptyAnswer                200, an answer that says nothing and gives no reason for it
        ├── StreamInterrupted          the stream ended, stalled or broke before its end
        └── ModelSkipped               not tried: its circuit breaker is open

Each class says what follows from it. `try_next_stage`: another model may succeed. `retryable`: the same model may
succeed in a moment. `trips_breaker`: the error counts against the model's health. `is_answer`: it came with an answer,
which the caller gets where no other model is left.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LLMError(Exception):
    """The root of all errors. `code` never changes, because callers and rows in the database rely on it."""

    code: ClassVar[str] = "llm_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RouteError(LLMError):
    """A route can't be read; the message says where and why."""

    code = "invalid_route"


class UpstreamError(LLMError):
    """One attempt failed.

    `http_status` is the status of the upstream's answer, null if there was none. `retry_after` is how many seconds the
    upstream asked to wait. `body` is the upstream's error object, without API keys. `upstream_request_id` is the
    upstream's own id for the request. `quoted` means that the message is in the upstream's words, which may repeat
    parts of the prompt. `parameter` is the field of the request that the upstream named as the reason, like
    `messages.0.role`; empty if it named none. `says` is the message before it was cut to the length that is kept.
    """

    code = "upstream_error"
    try_next_stage: ClassVar[bool] = True
    retryable: ClassVar[bool] = False
    trips_breaker: ClassVar[bool] = True
    is_answer: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        body: dict[str, Any] | None = None,
        upstream_request_id: str = "",
        quoted: bool = False,
        parameter: str = "",
        says: str = "",
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after = retry_after
        self.body = body
        self.upstream_request_id = upstream_request_id
        self.quoted = quoted
        self.parameter = parameter
        self.says = says


class UpstreamNotConfigured(UpstreamError):
    code = "no_upstream_key"
    trips_breaker = False


class UpstreamMisconfigured(UpstreamNotConfigured):
    """The request was never sent, because the settings have something that can't be in one.

    `of_the_key`: it is the key that can't be sent, so another key of the provider may do.
    """

    code = "upstream_misconfigured"

    def __init__(self, message: str, *, of_the_key: bool = False, **details: Any) -> None:
        super().__init__(message, **details)
        self.of_the_key = of_the_key


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"
    retryable = True


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"
    retryable = True


class CallerImpatient(UpstreamTimeout):
    """The caller gave less time than the settings do. One impatient caller must not open a breaker for all others."""

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


class NotSupported(UpstreamError):
    """The model, or its server, can't do what was asked for. Another one may, and nobody is ill."""

    code = "not_supported"
    trips_breaker = False


class InvalidRequest(UpstreamError):
    code = "invalid_request"
    try_next_stage = False
    trips_breaker = False


class UnsupportedParameter(InvalidRequest):
    """`parameter` is the parameter that the model refused. `value_only` means that it might take another value."""

    code = "unsupported_parameter"

    def __init__(self, message: str, *, parameter: str, value_only: bool = False, **details: Any) -> None:
        super().__init__(message, parameter=parameter, **details)
        self.value_only = value_only


class InvalidUpstreamResponse(UpstreamError):
    code = "invalid_upstream_response"
    retryable = True


class EmptyAnswer(UpstreamError):
    """An answer without text, tool call, refusal, image or audio, and without anything that explains this."""

    code = "empty_answer"
    trips_breaker = False
    is_answer = True


class StreamInterrupted(UpstreamError):
    code = "stream_interrupted"
    retryable = True


class ModelSkipped(UpstreamError):
    code = "circuit_open"
    retryable = True
    trips_breaker = False
