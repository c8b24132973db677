"""From what the HTTP client raises, or an upstream says, to our own errors, with a place for everything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm import BreakerState, CallStatus, ModelOperation
from llm.error_reading import read_error, read_exception
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
from llm.upstream.http_errors import HTTP_EXCEPTIONS
from tests.llm.conftest import StartEngine


def and_subclasses(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for subclass in root.__subclasses__():
        if subclass.__module__.startswith("aiohttp"):
            yield from and_subclasses(subclass)


HTTP = sorted({*and_subclasses(aiohttp.ClientError), TimeoutError, OSError}, key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", HTTP)
def test_whatever_the_http_client_raises_is_no_answer_or_none_in_time(kind: type[Exception]) -> None:
    exception = kind.__new__(kind)  # whatever its constructor wants
    expected = UpstreamTimeout if issubclass(kind, TimeoutError) else UpstreamUnavailable
    assert issubclass(kind, HTTP_EXCEPTIONS)
    assert type(read_exception(exception)) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (307, InvalidUpstreamResponse),
        (400, InvalidRequest),
        (401, UpstreamAuthFailed),
        (402, UpstreamQuotaExceeded),
        (403, UpstreamAuthFailed),
        (404, ModelNotFound),
        (408, UpstreamFailed),
        (409, UpstreamFailed),
        (413, InvalidRequest),
        (422, InvalidRequest),
        (429, UpstreamRateLimited),
        (500, UpstreamFailed),
        (529, UpstreamFailed),
    ],
)
def test_a_status_without_words_means_what_the_table_says(status: int, expected: type[UpstreamError]) -> None:
    assert type(read_error(None, http_status=status)) is expected


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
    error = read_error({}, http_status=429, headers=headers)
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
    ({"code": 402, "message": "Insufficient credits"}, 402, UpstreamQuotaExceeded),
    ({"code": 402, "message": "Insufficient credits"}, 200, UpstreamQuotaExceeded),
    ({"type": "invalid_request_error"}, 402, UpstreamQuotaExceeded),
    ({"code": "invalid_request_error", "message": "Insufficient Balance"}, 402, UpstreamQuotaExceeded),
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


# In an engine


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_wants_to_be_paid_is_not_retried_but_the_next_stage_is_asked(
    start_engine: StartEngine, stream: bool
) -> None:
    asker = await start_engine(max_retries=2, breaker_failures=1)
    alone = await asker.ask("sim-402", stream=stream)
    assert [type(attempt.error) for attempt in alone.attempts] == [UpstreamQuotaExceeded]
    assert asker.engine.breaker_states() == {ModelOperation("openai", "sim-402", "chat.completions"): BreakerState.OPEN}
    outcome = await (await start_engine()).ask("sim-402>ok", stream=stream)
    assert (outcome.status, outcome.model_used) == (CallStatus.SUCCEEDED, "ok")
