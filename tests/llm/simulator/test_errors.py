"""Errors that come instead of an answer: by name, by script, or because the request is wrong."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import HELLO, ask
from tests.support.loopback import async_loopback_client


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, None),
        (401, "invalid_api_key"),
        (403, "permission_denied"),
        (404, "model_not_found"),
        (408, "request_timeout"),
        (409, "conflict"),
        (429, "rate_limit_exceeded"),
        (500, "server_error"),
        (502, "bad_gateway"),
        (503, "service_unavailable"),
        (504, "gateway_timeout"),
        (529, "overloaded"),
        (418, None),
    ],
)
async def test_a_model_named_after_a_status_answers_with_it(
    http: httpx2.AsyncClient, status: int, code: str | None
) -> None:
    for stream in (False, True):
        response = await ask(http, f"sim-{status}", stream=stream)
        assert response.status_code == status
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        assert response.json()["error"]["code"] == code


async def test_429_by_name_asks_to_wait_a_second(http: httpx2.AsyncClient) -> None:
    assert (await ask(http, "sim-429")).headers["retry-after"] == "1"


async def test_a_scripted_error_and_retry_after_arrive_verbatim(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    simulator.state.script("m", Behaviour(status=429, error={"code": "insufficient_quota"}, retry_after=date))
    response = await ask(http)
    assert response.json() == {"error": {"code": "insufficient_quota"}}
    assert response.headers["retry-after"] == date


async def test_the_sdk_maps_a_scripted_status_to_its_own_error(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        await sdk.chat.completions.create(model="sim-429", messages=HELLO)  # type: ignore[arg-type]


async def test_without_authorization_the_answer_is_401(simulator: RunningSimulator) -> None:
    async with async_loopback_client(base_url=simulator.base_url) as client:
        response = await client.post("/chat/completions", json={"model": "m", "messages": HELLO})
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert (await client.get("/models", headers={"Authorization": "Basic x"})).status_code == 401


async def test_an_unknown_path_is_404_in_openais_shape(http: httpx2.AsyncClient) -> None:
    response = await http.get("/v1/unknown")
    assert response.status_code == 404
    assert response.json()["error"]["message"] == "Invalid URL (GET /v1/unknown)"


async def test_a_known_path_with_the_wrong_method_is_405(http: httpx2.AsyncClient) -> None:
    for method, path in (("GET", "/v1/chat/completions"), ("POST", "/v1/models"), ("POST", "/_requests")):
        response = await http.request(method, path)
        assert response.status_code == 405
        assert response.headers["allow"]


@pytest.mark.parametrize("body", [b"{broken", b"[]", b"", b'"text"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_400(http: httpx2.AsyncClient, body: bytes) -> None:
    response = await http.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"n": 0}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
    ],
)
async def test_a_wrong_parameter_is_400_and_named(
    http: httpx2.AsyncClient, parameters: dict[str, Any], wrong: str
) -> None:
    response = await http.post("/v1/chat/completions", json={"model": "m", "messages": HELLO} | parameters)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == wrong


async def test_a_refused_parameter_is_400_and_says_what_to_use(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(refuse=("max_tokens",)))
    error = (await ask(http, max_tokens=5)).json()["error"]
    assert error == {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model."
        " Use 'max_completion_tokens' instead.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
    assert (await ask(http, max_completion_tokens=5)).status_code == 200


async def test_a_refused_value_is_400_unless_it_is_the_default(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(refuse_values=("temperature",)))
    response = await ask(http, temperature=0.7)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_value"
    assert (await ask(http, temperature=1)).status_code == 200


async def test_a_prompt_above_the_context_window_is_400(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(context_window=10))
    assert (await ask(http)).status_code == 200
    response = await ask(http, messages=[{"role": "user", "content": "word " * 100}])
    assert response.json()["error"]["code"] == "context_length_exceeded"


async def test_a_raw_body_comes_as_it_is_whatever_was_asked(http: httpx2.AsyncClient) -> None:
    for stream in (False, True):
        response = await ask(http, "sim-html", stream=stream)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "It works!" in response.text
