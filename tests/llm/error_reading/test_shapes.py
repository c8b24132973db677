"""Errors in the shapes of many servers: whatever the shape, the words, the code and the field are found."""

from __future__ import annotations

from typing import Any

import pytest

from llm.error_reading import error_in, read_error
from llm.errors import (
    ContextWindowExceeded,
    InvalidRequest,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
)

MISSING = {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {"prompt": "secret"}}
RANGE = {"type": "less_than", "loc": ["body", "temperature"], "msg": "Input should be less than 2"}

SHAPES: list[tuple[object, str, str]] = [
    ({"error": {"message": "bad", "type": "t", "param": "top_p", "code": "c"}}, "bad", "top_p"),
    ({"object": "error", "message": "bad", "type": "BadRequestError", "param": None, "code": 400}, "bad", ""),
    ({"error": "bad"}, "bad", ""),
    ({"error": "bad", "error_type": "validation"}, "bad", ""),
    ({"error": "Bad Request", "message": "bad", "status": 400, "path": "/v1"}, "Bad Request: bad", ""),
    ({"error": "invalid_request", "error_description": "bad"}, "invalid_request: bad", ""),
    ({"error": True, "message": "bad"}, "bad", ""),
    ({"message": "bad"}, "bad", ""),
    ({"msg": "bad", "code": 40001}, "bad", ""),
    ({"detail": "bad"}, "bad", ""),
    ({"detail": {"error": {"message": "bad"}}}, "bad", ""),
    ({"detail": {"message": "bad"}}, "bad", ""),
    ({"detail": [MISSING]}, "messages: Field required", "messages"),
    ({"detail": [RANGE, MISSING]}, "temperature: Input should be less than 2; messages: Field required", "temperature"),
    ({"object": "error", "message": {"detail": [MISSING]}, "code": None}, "messages: Field required", "messages"),
    ({"errors": ["bad", "worse"]}, "bad; worse", ""),
    ({"success": False, "errors": [{"code": 7003, "message": "bad"}], "result": None}, "bad", ""),
    ({"errors": {"temperature": ["is too high"]}}, "temperature: is too high", ""),
    ({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "bad"}, "Bad Request: bad", ""),
    ({"title": "Bad Request", "status": 400}, "Bad Request", ""),
    ([{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}], "bad", ""),
    ({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}, "bad", ""),
    ({"Message": "bad"}, "bad", ""),
    ("bad", "bad", ""),
]


@pytest.mark.parametrize(("error", "message", "parameter"), SHAPES)
def test_the_words_and_the_field_are_found(error: object, message: str, parameter: str) -> None:
    read = read_error(error, http_status=400)
    assert type(read) is InvalidRequest
    assert (read.message, read.parameter) == (message, parameter)


@pytest.mark.parametrize(("error", "message", "parameter"), SHAPES[:-1])
def test_the_error_object_has_openais_shape(error: object, message: str, parameter: str) -> None:
    body = read_error(error, http_status=400).body
    assert body is not None
    assert body["message"] and body["message"] in message
    assert (body.get("param") or "") == parameter


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, InvalidRequest),
        ({"object": "error", "message": "maximum context length is 4096 tokens", "code": 400}, ContextWindowExceeded),
        ({"code": "InvalidParameter", "message": "temperature is too high"}, InvalidRequest),
        ({"code": "Throttling.RateQuota", "message": "slow down"}, UpstreamRateLimited),
        ({"detail": [MISSING]}, InvalidRequest),
        ({"title": "Unprocessable", "status": 422, "detail": "bad"}, InvalidRequest),
        ({"status": 429, "message": "slow down"}, UpstreamRateLimited),
        ({"error": "bad", "error_type": "validation"}, InvalidRequest),
        ({"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}, InvalidRequest),
        ({"error": "out of memory"}, UpstreamFailed),
        ({"message": "out of memory"}, UpstreamFailed),
    ],
)
def test_in_the_place_of_an_answer_it_is_what_it_names(error: dict[str, Any], expected: type[UpstreamError]) -> None:
    found = error_in(error)
    assert found is not None or "code" in error  # an event that is named `error` needs no more to be one
    assert type(read_error(error, http_status=200)) is expected


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [], "usage": {}},
        {"choices": [{"delta": {"content": "error"}}], "error": None},
        {"object": "list", "data": []},
        {"id": "resp_1", "object": "response", "output": [], "error": None, "status": "completed"},
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.created", "response": {"error": {"message": "not here"}}},
        {"model": "m", "message": {"role": "assistant", "content": "as Ollama's own API has it"}, "done": False},
        {"message": "", "detail": []},
        {},
    ],
)
def test_an_answer_or_a_chunk_is_no_error(answer: dict[str, Any]) -> None:
    assert error_in(answer) is None


def test_what_a_validation_error_repeats_of_the_request_is_not_in_its_words() -> None:
    read = read_error({"detail": [MISSING]}, http_status=422)
    assert "secret" not in read.message
    assert "secret" not in read.says
