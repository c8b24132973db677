"""From what the SDK raises, or an upstream says, to our own errors: nothing that it may raise has no place there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm.errors import (
    ContextWindowExceeded,
    InvalidRequest,
    InvalidUpstreamResponse,
    ModelNotFound,
    StreamInterrupted,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.upstream_errors import read_error, read_exception

REQUEST = httpx2.Request("POST", "http://upstream.invalid/v1/chat/completions")


def response(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, request=REQUEST)


def and_subclasses(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for subclass in root.__subclasses__():
        yield from and_subclasses(subclass)


def blank(kind: type[Exception]) -> Exception:
    """An exception of a class, whatever its constructor wants: with all that the SDK sets on one of its kind."""
    exception = kind.__new__(kind)
    Exception.__init__(exception, "what it says")
    if isinstance(exception, openai.APIError):
        exception.message, exception.request, exception.body = "what it says", REQUEST, None
        exception.code = exception.param = exception.type = None
    if isinstance(exception, openai.APIStatusError):
        exception.status_code = STATUS.get(kind, 500)
        exception.response = response(exception.status_code)
    if isinstance(exception, openai.APIResponseValidationError):
        exception.response, exception.status_code = response(200), 200
    return exception


STATUS = {
    openai.BadRequestError: 400,
    openai.AuthenticationError: 401,
    openai.OAuthError: 401,
    openai.PermissionDeniedError: 403,
    openai.NotFoundError: 404,
    openai.ConflictError: 409,
    openai.UnprocessableEntityError: 422,
    openai.RateLimitError: 429,
}
SDK = sorted(set(and_subclasses(openai.OpenAIError)), key=lambda kind: kind.__qualname__)
HTTP = sorted(
    {*and_subclasses(httpx2.HTTPError), *and_subclasses(httpx2.StreamError)}, key=lambda kind: kind.__qualname__
)
OTHERS = [kind for kind in vars(httpx2).values() if isinstance(kind, type) and issubclass(kind, Exception)]


OUR_NAME_FOR: dict[str, type[UpstreamError]] = {
    "OpenAIError": UpstreamFailed,
    "APIError": UpstreamFailed,
    "APIStatusError": UpstreamFailed,
    "APIConnectionError": UpstreamUnavailable,
    "APITimeoutError": UpstreamTimeout,
    "APIResponseValidationError": InvalidUpstreamResponse,
    "BadRequestError": InvalidRequest,
    "AuthenticationError": UpstreamAuthFailed,
    "OAuthError": UpstreamAuthFailed,
    "PermissionDeniedError": UpstreamAuthFailed,
    "NotFoundError": ModelNotFound,
    "ConflictError": UpstreamFailed,
    "UnprocessableEntityError": InvalidRequest,
    "RateLimitError": UpstreamRateLimited,
    "InternalServerError": UpstreamFailed,
    **dict.fromkeys(
        (
            "AmbiguousModuleClientUsageError",
            "APIRemovedInV1",
            "ContentFilterFinishReasonError",
            "LengthFinishReasonError",
            "MutuallyExclusiveAuthError",
            "StreamAlreadyConsumed",
            "SubjectTokenProviderError",
            "WebSocketConnectionClosedError",
            "WebSocketQueueFullError",
            "_AmbiguousModuleClientUsageError",
        ),
        UpstreamFailed,
    ),
    "TimeoutException": UpstreamTimeout,
    "ConnectTimeout": UpstreamTimeout,
    "ReadTimeout": UpstreamTimeout,
    "WriteTimeout": UpstreamTimeout,
    "PoolTimeout": UpstreamTimeout,
    **dict.fromkeys(
        (
            "HTTPError",
            "RequestError",
            "TransportError",
            "NetworkError",
            "ConnectError",
            "ReadError",
            "WriteError",
            "CloseError",
            "ProtocolError",
            "LocalProtocolError",
            "RemoteProtocolError",
            "ProxyError",
            "UnsupportedProtocol",
            "SSEError",
            "DecodingError",
            "TooManyRedirects",
            "HTTPStatusError",
            "StreamError",
            "StreamConsumed",
            "StreamClosed",
            "ResponseNotRead",
            "RequestNotRead",
        ),
        UpstreamUnavailable,
    ),
}


@pytest.mark.parametrize("kind", [*SDK, *HTTP])
def test_every_exception_of_the_sdk_and_its_http_client_has_a_place_in_our_tree(kind: type[Exception]) -> None:
    """One that is new has no line above yet: look at `read_exception`, then write down what it comes to."""
    assert type(read_exception(blank(kind))) is OUR_NAME_FOR[kind.__name__]


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in OTHERS
        if kind not in HTTP and kind is not httpx2.CookieConflict  # raised by code that reads cookies by name
    ],
)
def test_what_the_http_client_exports_besides_has_a_place_in_our_tree(kind: type[Exception]) -> None:
    assert isinstance(read_exception(blank(kind)), UpstreamError)


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (openai.APITimeoutError(REQUEST), UpstreamTimeout),
        (openai.APIConnectionError(request=REQUEST), UpstreamUnavailable),
        (openai.APIResponseValidationError(response(200), None), InvalidUpstreamResponse),
        (openai.BadRequestError("x", response=response(400), body=None), InvalidRequest),
        (openai.AuthenticationError("x", response=response(401), body=None), UpstreamAuthFailed),
        (openai.PermissionDeniedError("x", response=response(403), body=None), UpstreamAuthFailed),
        (openai.NotFoundError("x", response=response(404), body=None), ModelNotFound),
        (openai.ConflictError("x", response=response(409), body=None), UpstreamFailed),
        (openai.UnprocessableEntityError("x", response=response(422), body=None), InvalidRequest),
        (openai.RateLimitError("x", response=response(429), body=None), UpstreamRateLimited),
        (openai.InternalServerError("x", response=response(500), body=None), UpstreamFailed),
        (openai.APIStatusError("x", response=response(307), body=None), InvalidUpstreamResponse),
        (openai.APIError("x", REQUEST, body={"code": 404}), ModelNotFound),
        (openai.APIError("x", REQUEST, body=None), UpstreamFailed),
        (httpx2.ConnectTimeout("x"), UpstreamTimeout),
        (httpx2.ReadTimeout("x"), UpstreamTimeout),
        (httpx2.PoolTimeout("x"), UpstreamTimeout),
        (httpx2.ConnectError("x"), UpstreamUnavailable),
        (httpx2.ReadError("x"), UpstreamUnavailable),
        (httpx2.RemoteProtocolError("x"), UpstreamUnavailable),
        (httpx2.DecodingError("x"), UpstreamUnavailable),
        (json.JSONDecodeError("x", "{broken", 1), StreamInterrupted),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), StreamInterrupted),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_exception_means_what_the_table_says(exception: Exception, expected: type[UpstreamError]) -> None:
    assert type(read_exception(exception)) is expected


def test_an_exception_that_is_none_of_theirs_is_a_defect_and_goes_through() -> None:
    with pytest.raises(KeyError):
        read_exception(KeyError("ours"))


# Retry-After


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 99 Foo 2015"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    error = read_exception(openai.RateLimitError("x", response=response(429, **headers), body=None))
    assert error.retry_after == seconds


def test_retry_after_as_a_date_is_a_time_from_now() -> None:
    error = read_error({}, http_status=429, headers={"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert error.retry_after == pytest.approx(60, abs=2)


@pytest.mark.parametrize("written", ["inf", "1e999", "Infinity"])
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_a_retry_after_without_end_is_not_believed(name: str, written: str) -> None:
    error = read_error({}, http_status=429, headers={name: written})
    assert error.retry_after is None


@settings(max_examples=300, deadline=None)
@given(st.text(), st.sampled_from(["retry-after", "retry-after-ms"]))
def test_whatever_stands_in_retry_after_it_is_no_defect(written: str, name: str) -> None:
    seconds = read_error({}, http_status=429, headers={name: written}).retry_after
    assert seconds is None or seconds >= 0


# The error object

NAMED = [
    ({"code": "insufficient_quota"}, 429, UpstreamQuotaExceeded),
    ({"type": "insufficient_quota"}, 200, UpstreamQuotaExceeded),
    ({"code": "rate_limit_exceeded"}, 200, UpstreamRateLimited),
    ({"code": "context_length_exceeded"}, 400, ContextWindowExceeded),
    ({"code": "context_length_exceeded", "type": "invalid_request_error"}, 200, ContextWindowExceeded),
    ({"code": "model_not_found", "type": "invalid_request_error"}, 404, ModelNotFound),
    ({"code": "model_not_found"}, 403, ModelNotFound),
    ({"type": "invalid_request_error"}, 404, ModelNotFound),
    ({"type": "invalid_request_error"}, 500, UpstreamFailed),
    ({"type": "invalid_request_error"}, 200, InvalidRequest),
    ({"code": 400, "type": "BadRequestError"}, 200, InvalidRequest),
    ({"code": "429"}, 200, UpstreamRateLimited),
    ({"code": 404}, 500, UpstreamFailed),
    ({"code": 200}, 200, UpstreamFailed),
    ({"code": 42}, 200, UpstreamFailed),
    ({"type": "overloaded_error"}, 529, UpstreamFailed),
    ("only words", 200, UpstreamFailed),
    ("only words", 503, UpstreamFailed),
    (None, 502, UpstreamFailed),
    ([{"message": "in a list"}], 429, UpstreamRateLimited),
    ({"code": "unsupported_parameter"}, 400, InvalidRequest),
    ({"code": "unsupported_parameter", "param": None}, 400, InvalidRequest),
]


@pytest.mark.parametrize(("error", "http_status", "expected"), NAMED)
def test_an_error_is_what_its_code_names_else_its_status_else_its_type(
    error: object, http_status: int, expected: type[UpstreamError]
) -> None:
    read = read_error(error, http_status=http_status)
    assert type(read) is expected
    assert read.http_status == http_status
    assert read.message


@pytest.mark.parametrize("code", ["unsupported_parameter", "unsupported_value"])
def test_a_refused_parameter_is_named(code: str) -> None:
    read = read_error({"code": code, "param": "temperature"}, http_status=400)
    assert isinstance(read, UnsupportedParameter)
    assert read.parameter == "temperature"


def test_the_upstreams_error_object_is_kept_as_it_came() -> None:
    error = {"message": "m", "type": "t", "code": "c", "param": "p", "extra": [1]}
    assert read_error(error, http_status=400).body == error


@pytest.mark.parametrize("key", ["sk-proj-abcDEF123456", "sk-...1234", "sk-ab**********yz", "rk-live-12345678"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_key_in_the_upstreams_words_is_not_passed_on(key: str, status: int) -> None:
    message = f"Incorrect API key provided: {key}. Or ({key})"
    assert key not in read_error({"message": message}, http_status=status).message
    assert key not in read_error(message, http_status=status).message
    assert key not in read_error([message], http_status=status).message


def test_the_error_object_of_a_refused_key_is_not_kept() -> None:
    assert read_error({"message": "sk-proj-abcDEF123456"}, http_status=401).body is None


def test_a_key_in_the_error_object_is_not_passed_on_either() -> None:
    """Some providers answer a wrong key with 400."""
    read = read_error({"message": "Incorrect API key provided: sk-proj-abcDEF123456"}, http_status=400)
    assert "sk-proj" not in json.dumps(read.body)


def test_an_endless_message_is_cut() -> None:
    assert len(read_error("x" * 1_000_000, http_status=500).message) == 1_000


Jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
Objects = st.fixed_dictionaries({}, optional=dict.fromkeys(("code", "type", "message", "param"), Jsons))


@settings(max_examples=500, deadline=None, database=None)
@example({"code": ["a list"]}, 400)
@example({"code": "²"}, 200)
@given(Objects | Jsons, st.sampled_from([None, 200, 400, 401, 404, 429, 500, 529]))
def test_whatever_an_upstream_says_is_an_error_of_ours(error: Any, http_status: int | None) -> None:
    read = read_error(error, http_status=http_status)
    assert isinstance(read, UpstreamError)
    assert read.message
