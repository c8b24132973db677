"""Errors under `/v1` have OpenAI's shape and the right status, and the SDK raises its own error after one request."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from django.conf import settings

from chat.models import CallRecord
from llm import Provider
from llm.simulator import Behaviour, SimulatorThread
from tests.support.openai_sdk import HELLO, sdk_of
from tests.support.upstreams.written_upstream import Reply

StartSite = Callable[..., httpx2.Client]
DOOR = "/v1/chat/completions"


def error_of(response: httpx2.Response) -> dict[str, Any]:
    """The error object, after a check that it has OpenAI's shape."""
    error = response.json()["error"]
    assert {"message", "type", "param", "code", "request_id"} <= error.keys()
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    return dict(error)


@pytest.mark.parametrize(
    ("model", "kind", "status", "code"),
    [
        ("sim-400", openai.BadRequestError, 400, None),
        ("sim-context", openai.BadRequestError, 400, "context_length_exceeded"),
        ("sim-422", openai.UnprocessableEntityError, 422, None),
        ("sim-401", openai.InternalServerError, 502, "upstream_auth_failed"),
        ("sim-403", openai.InternalServerError, 502, "upstream_auth_failed"),
        ("sim-404", openai.NotFoundError, 404, "model_not_found"),
        ("sim-409", openai.ConflictError, 409, None),
        ("sim-429", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("sim-quota", openai.RateLimitError, 429, "insufficient_quota"),
        ("sim-500", openai.InternalServerError, 500, None),
        ("sim-503", openai.InternalServerError, 503, None),
        ("sim-html", openai.InternalServerError, 502, "invalid_upstream_response"),
        ("sim-cut", openai.InternalServerError, 502, None),
        ("sim-timeout", openai.InternalServerError, 504, "upstream_timeout"),
    ],
)
def test_the_sdk_raises_its_own_error_and_does_not_try_again(
    start_site: StartSite,
    simulator: SimulatorThread,
    model: str,
    kind: type[openai.APIStatusError],
    status: int,
    code: str | None,
) -> None:
    sdk = sdk_of(start_site(MAX_RETRIES=0))
    for stream in (False, True):
        if stream and model == "sim-cut":
            continue  # has begun by then
        with pytest.raises(openai.APIStatusError) as raised:
            sdk.chat.completions.create(
                model=model, messages=HELLO, stream=stream, extra_body={"x-timeout": 0.3} if status == 504 else {}
            )  # type: ignore[call-overload]
        error = raised.value
        assert type(error) is kind
        assert error.status_code == status
        if code:
            assert error.code == code
        call = CallRecord.objects.latest("created_at")
        assert (call.status, call.http_status, call.request_id) == ("failed", status, error.request_id)
        assert error.response.headers["x-should-retry"] == "false"
        assert error.response.headers["x-attempts"] == "1"
        assert error.response.headers.get("retry-after") == ("1" if model == "sim-429" else None)
        assert error_of(error.response)
    assert len(simulator.requests()) == CallRecord.objects.count()


def test_an_upstream_s_own_error_goes_through_as_it_came(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(MAX_RETRIES=0)
    told = {"message": "No.", "type": "odd_error", "param": "messages[0]", "code": "odd", "brand_new": [1]}
    simulator.script("odd", Behaviour(status=418, error=told, retry_after="7"))
    response = client.post(DOOR, json={"model": "odd", "messages": HELLO})
    assert response.status_code == 418
    assert error_of(response) == {**told, "request_id": response.headers["x-request-id"]}


def test_a_refused_key_of_ours_is_not_shown_to_anyone(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(MAX_RETRIES=0)
    leak = {"message": "Incorrect API key: sk-test-0123456789abcdef", "type": "x", "code": "invalid_api_key"}
    simulator.script("leaks", Behaviour(status=401, error=leak))
    response = client.post(DOOR, json={"model": "leaks", "messages": HELLO})
    assert response.status_code == 502
    assert "sk-test" not in response.text
    assert error_of(response)["type"] == "server_error"


def test_a_status_that_is_none_is_a_502(written_site: Callable[..., Any]) -> None:
    client, _ = written_site(lambda path, body: Reply({"error": {"message": "odd"}}, status=799), MAX_RETRIES=0)
    response = client.post(DOOR, json={"model": "m", "messages": HELLO})
    assert response.status_code == 502
    assert error_of(response)["message"] == "odd"
    assert CallRecord.objects.get().http_status == 502


def test_no_upstream_at_all(start_site: StartSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing_upstream = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    client = start_site(
        MAX_RETRIES=0,
        PROVIDERS={
            "openai": Provider(name="openai", base_url=refusing_upstream, api_key="sk-0123456789"),
            "bare": Provider(name="bare", base_url=refusing_upstream, api_key=""),
        },
    )
    for model, status in (("m", 502), ("bare/m", 503)):
        response = client.post(DOOR, json={"model": model, "messages": HELLO})
        assert (response.status_code, error_of(response)["type"]) == (status, "server_error")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "model"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": "a|"}, "model"),
        ({"model": "a\x00b"}, "model"),
        ({"model": " " * 1001 + "a"}, "model"),
        ({"model": "a", "stream": "yes"}, "stream"),
        ({"model": "a", "stream": True, "stream_options": []}, "stream_options"),
    ],
)
def test_bad_input_names_its_parameter_and_asks_no_model(
    client: httpx2.Client, simulator: SimulatorThread, fields: dict[str, Any], param: str
) -> None:
    response = client.post(DOOR, json={"messages": HELLO, **fields})
    error = error_of(response)
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert simulator.requests() == [] and CallRecord.objects.count() == 0
    with pytest.raises(openai.BadRequestError) as raised:
        sdk_of(client).post("/chat/completions", body={"messages": HELLO, **fields}, cast_to=object)
    assert raised.value.param == param


def test_what_is_no_request_is_told_so_in_openai_s_shape(client: httpx2.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    half = b'{"model": "m", "messages": [{"role": "user", "content": "\\ud83d"}]}'
    for method, path, content, headers, status in (
        ("POST", DOOR, b"{broken", json_type, 400),
        ("POST", DOOR, b"[1]", json_type, 400),
        ("POST", DOOR, b'{"model": NaN}', json_type, 400),
        ("POST", DOOR, b'{"a":' * 200_000, json_type, 400),
        ("POST", DOOR, b"\xff", json_type, 400),
        ("POST", DOOR, half, json_type, 400),
        ("POST", DOOR, b"", json_type, 400),
        ("POST", DOOR, b"model=m", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/v1/embeddings", b"x" * (settings.MAX_BODY_BYTES + 1), json_type, 413),
        ("PUT", DOOR, b"{}", json_type, 405),
        ("GET", "/v1/embeddings", b"", {}, 405),
        ("POST", "/v1/models", b"{}", json_type, 405),
        ("GET", "/v1", b"", {}, 404),
        ("GET", "/v1/", b"", {}, 404),
        ("POST", "/v1/chat/completions/", b"{}", json_type, 400),
        ("POST", "/v1/audio/speech", b"{}", json_type, 404),
        ("DELETE", "/v1/files/a%00b", b"", {}, 404),
        ("PATCH", "/v1/%ff", b"{broken", json_type, 404),
        ("GET", "/v1/chat/completions/a%00b", b"", {}, 404),
        ("GET", "/v1/models/a%00b", b"", {}, 404),
    ):
        response = client.request(method, path, content=content, headers=headers)
        assert response.status_code == status, (method, path, content[:40])
        assert response.headers["content-type"] == "application/json"
        assert error_of(response)["type"] == "invalid_request_error"
    assert CallRecord.objects.count() == 0


def test_an_unknown_address_is_the_sdk_s_not_found(client: httpx2.Client) -> None:
    sdk = sdk_of(client)
    with pytest.raises(openai.NotFoundError, match=r"no GET /v1/files"):
        sdk.files.list()
    with pytest.raises(openai.NotFoundError):
        sdk.moderations.create(input="x")


def test_a_request_id_of_the_caller_s_own_is_kept(client: httpx2.Client) -> None:
    headers = {"x-request-id": "mine-12345678"}
    response = client.post(DOOR, json={"model": "sim-400", "messages": HELLO}, headers=headers)
    assert error_of(response)["request_id"] == "mine-12345678"
    assert CallRecord.objects.get().request_id == "mine-12345678"
    other = client.get("/v1/nothing")
    assert re.fullmatch(r"req_\w+", error_of(other)["request_id"])
    assert json.loads(other.text)
