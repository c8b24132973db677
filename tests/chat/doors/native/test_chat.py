"""POST /chat"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from chat.doors.door import DoorRequest
from chat.models import Attempt, CallContent, CallRecord
from llm import Call, CallRequest
from llm.simulator import Behaviour, SimulatorThread


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "prompt", "neither"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "prompt", "both"),
        ({"prompt": ""}, "prompt", "blank"),
        ({"prompt": 5}, "prompt", "valid string"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "hi"}, "messages", "list"),
        ({"messages": [{"role": "nobody", "content": "a"}]}, "messages.0.role", "not a valid choice"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "required"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "text"),
        ({"prompt": "a", "temperature": 2.1}, "temperature", "less than or equal to 2"),
        ({"prompt": "a", "temperature": -0.1}, "temperature", "greater than or equal to 0"),
        ({"prompt": "a", "temperature": "1"}, "temperature", "valid number"),
        ({"prompt": "a", "temperature": True}, "temperature", "valid number"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"prompt": "a", "max_tokens": 1.5}, "max_tokens", "valid integer"),
        ({"prompt": "a", "timeout": 0}, "timeout", "greater than or equal"),
        ({"prompt": "a", "model": ""}, "model", "blank"),
        ({"prompt": "a", "model": "gpt-4o>"}, "model", "missing"),
        ({"prompt": "a", "model": "gpt-4o||gpt-4"}, "model", "missing"),
        ({"prompt": "a", "model": ["gpt-4o"]}, "model", "valid string"),
        ({"prompt": "a", "metadata": {"k": 1}}, "metadata.k", "valid string"),
        ({"prompt": "a", "metadata": {str(n): "v" for n in range(17)}}, "metadata", "16"),
        ({"prompt": "a", "temprature": 1}, "temprature", "Unknown field"),
        ({"prompt": "a", "stop": [1]}, "stop", "string"),
    ],
)
def test_bad_input_names_the_field_and_the_reason_and_reaches_no_model(
    client: httpx2.Client, simulator: SimulatorThread, body: object, field: str, reason: str
) -> None:
    response = client.post("/chat", json=body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["code"] == "invalid_request"
    assert reason in error["details"]["fields"][field][0]
    assert field in error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    assert simulator.requests() == []
    assert CallRecord.objects.count() == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"", "Give either `prompt` or `messages`"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"prompt": "\\ud800"}', "surrogate"),
        (b'{"prompt": "a", "temperature": NaN}', "NaN"),
        (b'{"prompt": "a", "temperature": 1e999}', "too large"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_400_with_the_reason(
    client: httpx2.Client, content: bytes, reason: str
) -> None:
    response = client.post("/chat", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert reason in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"[]", b'"hi"', b"5", b"null", b"[1]"])
def test_a_body_that_is_no_object_is_a_400(client: httpx2.Client, body: bytes) -> None:
    response = client.post("/chat", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "The body must be a JSON object."


def test_another_media_type_is_a_415(client: httpx2.Client) -> None:
    response = client.post("/chat", content=b"prompt=a", headers={"content-type": "text/plain"})
    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_media_type"


def test_get_is_a_405(client: httpx2.Client) -> None:
    response = client.get("/chat")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_a_413(start_site, chunked: bool) -> None:  # type: ignore[no-untyped-def]
    client = start_site(DATA_UPLOAD_MAX_MEMORY_SIZE=1)  # ours is the limit that counts, not Django's
    body = b'{"prompt": "' + b"a" * (21 * 1024 * 1024) + b'"}'
    content = iter([body[:1000], body[1000:]]) if chunked else body
    response = client.post("/chat", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"
    assert response.headers["x-request-id"] == response.json()["error"]["request_id"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("sim-400", 400, "invalid_request"),
        ("sim-context", 400, "context_window_exceeded"),
        ("sim-401", 502, "upstream_auth_failed"),
        ("sim-404", 404, "model_not_found"),
        ("sim-429", 429, "upstream_rate_limited"),
        ("sim-quota", 429, "upstream_quota_exceeded"),
        ("sim-500", 502, "upstream_failed"),
        ("sim-html", 502, "invalid_upstream_response"),
        ("sim-timeout", 504, "upstream_timeout"),
    ],
)
def test_an_upstream_that_fails_is_an_error_with_every_attempt_and_a_row(
    start_site: Callable[..., httpx2.Client], model: str, status: int, code: str
) -> None:
    client = start_site(MAX_RETRIES=1)
    timeout = 1 if model == "sim-timeout" else 20
    response = client.post("/chat", json={"prompt": "a", "model": model, "timeout": timeout})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert error["details"]["attempts"][0]["model"] == model
    assert error["details"]["attempts"][0]["error_code"] == code
    call = CallRecord.objects.get()
    assert (call.status, call.error_code, call.http_status) == ("failed", code, status)
    assert call.attempts.count() == len(error["details"]["attempts"])


def test_a_rate_limit_passes_retry_after_on(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("busy", Behaviour(status=429, retry_after="7"))
    response = client.post("/chat", json={"prompt": "a", "model": "busy", "timeout": 1})
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"


def test_no_key_is_a_503(start_site, settings) -> None:  # type: ignore[no-untyped-def]
    from llm import Provider

    client = start_site()
    del client
    client = start_site(PROVIDERS={"openai": Provider(name="openai", base_url="http://127.0.0.1:1")})
    response = client.post("/chat", json={"prompt": "a"})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "no_upstream_key"


def test_the_answer_has_the_designed_shape(client: httpx2.Client) -> None:
    response = client.post("/chat", json={"prompt": "Hello", "model": "gpt-4o", "max_tokens": 5})
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == {
        "request_id",
        "content",
        "model_used",
        "provider_used",
        "model",
        "finish_reason",
        "fallback_triggered",
        "is_default_message",
        "usage",
        "cost_usd",
        "cost_estimated",
        "cost_incomplete",
        "latency_ms",
        "created_at",
        "attempts",
    }
    assert set(answer["usage"]) == {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cache_write_tokens",
        "audio_prompt_tokens",
        "audio_completion_tokens",
        "web_searches",
        "file_searches",
        "estimated",
    }
    costs = {"cost_usd", "cost_estimated", "cost_incomplete"}
    assert set(answer["attempts"][0]) == {"model", "provider", "status", "error_code", "latency_ms", *costs}
    assert (answer["cost_estimated"], answer["cost_incomplete"]) == (False, False)
    assert answer["model"] == answer["model_used"] == "gpt-4o"
    assert answer["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5
    assert answer["request_id"] == response.headers["x-request-id"]
    assert isinstance(answer["cost_usd"], float)


def test_the_row_is_there_when_the_answer_is(client: httpx2.Client) -> None:
    answer = client.post("/chat", json={"prompt": "Hello", "metadata": {"team": "a"}}).json()
    call = CallRecord.objects.get(request_id=answer["request_id"])
    assert (call.door, call.status, call.model_used, call.provider_used) == ("chat", "succeeded", "gpt-4o", "openai")
    assert (call.http_status, call.finish_reason, call.metadata) == (200, "stop", {"team": "a"})
    assert float(call.cost_usd or 0) == answer["cost_usd"]
    assert call.body.content == answer["content"]
    assert call.body.messages == [{"role": "user", "content": "Hello"}]
    assert call.body.parameters == {"temperature": 0.7}
    attempt = call.attempts.get()
    assert (attempt.model, attempt.status, attempt.http_status) == ("gpt-4o", "succeeded", 200)
    assert attempt.upstream_request_id


def test_cached_tokens_are_priced_once(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", Behaviour(answer="one", cached_tokens=1_000))
    usage_and_cost = client.post("/chat", json={"prompt": "a" * 8_000}).json()
    usage = usage_and_cost["usage"]
    assert usage["cached_tokens"] == 1_000
    fresh = usage["prompt_tokens"] - 1_000
    expected = (fresh * 2.5 + 1_000 * 1.25 + usage["completion_tokens"] * 10) / 1_000_000
    assert usage_and_cost["cost_usd"] == pytest.approx(expected)


def test_an_unknown_price_is_null_and_never_zero(client: httpx2.Client) -> None:
    answer = client.post("/chat", json={"prompt": "a", "model": "nobody-knows-this"}).json()
    assert answer["cost_usd"] is None
    assert CallRecord.objects.get().cost_usd is None


def test_parameters_go_upstream_as_they_are(client: httpx2.Client, simulator: SimulatorThread) -> None:
    sent = {
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": ["x"],
        "seed": 3,
        "presence_penalty": -1.5,
        "frequency_penalty": 1,
        "user": "u",
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "t"}]}]
    client.post("/chat", json={"messages": messages, "model": "gpt-4o", **sent})
    (seen,) = simulator.requests()
    assert seen["body"] == {"model": "gpt-4o", "messages": messages, **sent}


def test_a_refused_parameter_is_adapted_answered_and_remembered(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("new", Behaviour(refuse=("max_tokens",), refuse_values=("temperature",)))
    first = client.post("/chat", json={"prompt": "a", "model": "new", "max_tokens": 5})
    second = client.post("/chat", json={"prompt": "a", "model": "new", "max_tokens": 5})
    assert (first.status_code, second.status_code) == (200, 200)
    assert [a["status"] for a in first.json()["attempts"]] == ["failed", "failed", "succeeded"]
    assert [a["status"] for a in second.json()["attempts"]] == ["succeeded"]
    assert simulator.requests()[-1]["body"]["max_completion_tokens"] == 5


def test_calls_at_once_are_all_adapted_though_the_first_of_them_has_taught_it(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("new", Behaviour(refuse=("max_tokens",), refuse_values=("temperature",), latency_s=0.3))

    def ask(number: int) -> httpx2.Response:
        return client.post("/chat", json={"prompt": str(number), "model": "new", "max_tokens": 5})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8


def test_a_value_that_a_model_refuses_is_dropped_and_other_values_still_reach_it(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    refusal = {
        "message": "no",
        "type": "invalid_request_error",
        "code": "unsupported_value",
        "param": "reasoning_effort",
    }
    simulator.script("thinker", Behaviour(status=400, error=refusal, times=1), Behaviour())
    for effort in ("minimal", "high", "minimal"):
        order = {"prompt": "a", "model": "thinker", "reasoning_effort": effort}
        assert client.post("/chat", json=order).status_code == 200
    sent = [seen["body"].get("reasoning_effort") for seen in simulator.requests()]
    assert sent == ["minimal", None, "high", None]


def test_an_ill_formed_request_id_is_replaced(client: httpx2.Client) -> None:
    response = client.get("/health", headers={"X-Request-ID": "a b;c"})
    assert response.headers["x-request-id"].startswith("req_")


def test_store_content_off_keeps_every_figure_and_no_word(start_site) -> None:  # type: ignore[no-untyped-def]
    client = start_site(STORE_CONTENT=False)
    answer = client.post("/chat", json={"prompt": "a secret"}).json()
    assert CallContent.objects.count() == 0
    assert CallRecord.objects.get().completion_tokens == answer["usage"]["completion_tokens"]
    assert client.get(f"/calls/{answer['request_id']}").json()["messages"] is None


def test_no_key_is_in_any_row(client: httpx2.Client) -> None:
    for model in ("gpt-4o", "sim-401", "sim-400"):
        client.post("/chat", json={"prompt": "a", "model": model}, headers={"Authorization": "Bearer sk-caller-123456"})
    kept = [list(row) for kind in (CallRecord, Attempt, CallContent) for row in kind.objects.values_list()]
    assert "sk-" not in repr(kept)


def test_an_answer_says_how_long_it_is(client: httpx2.Client) -> None:
    """A client of HTTP/1.0, such as an old proxy or tool, can't read a chunked body."""
    answer = client.post("/chat", json={"prompt": "a"})
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/chat", {"prompt": "a"}, 200),
        ("/chat", {"prompt": 5}, 400),
        ("/chat", {"prompt": "a", "model": "sim-500"}, 502),
        ("/chat/parallel", {"prompt": "a"}, 200),
        ("/chat/stream", {"prompt": "a"}, 200),
        ("/v1/chat/completions", {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}]}, 200),
        (
            "/v1/chat/completions",
            {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}], "stream": True},
            200,
        ),
    ],
)
def test_a_request_is_gone_with_its_answer_and_does_not_wait_for_the_garbage_collector(
    start_site: Callable[..., httpx2.Client], path: str, body: dict[str, object], status: int
) -> None:
    """Otherwise large prompts would pile up, because the collector runs rarely: it holds up all calls when it does."""

    def kept() -> int:
        # `isinstance` would ask a proxy for its class, and what the proxy stands for may be gone.
        return sum(type(found) in (DoorRequest, CallRequest, Call) for found in gc.get_objects())

    client = start_site(MAX_RETRIES=0)
    client.post(path, json=body)
    gc.collect()
    gc.disable()
    before = kept()  # of other tests
    try:
        for _ in range(10):
            assert client.post(path, json=body).status_code == status
        give_up = time.monotonic() + 10
        while (after := kept()) > before + 3 and time.monotonic() < give_up:
            time.sleep(0.1)
    finally:
        gc.enable()
    assert after <= before + 3


@pytest.mark.parametrize("path", ["/chat", "/v1/chat/completions"])
def test_a_large_body_may_come_in_chunks_and_without_a_length(client: httpx2.Client, path: str) -> None:
    text = "a " * 2_000_000
    order = {"prompt": text} if path == "/chat" else {"messages": [{"role": "user", "content": text}]}
    body = json.dumps({"model": "gpt-4o", **order}).encode()
    pieces = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
    answer = client.post(path, content=pieces, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text[:300]
