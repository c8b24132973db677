"""What real upstreams say when they fail, at every door: the caller and the record read the cause."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from llm import Provider
from llm.simulator import SimulatorThread
from tests.support.upstreams.wire_answers import streamed, whole
from tests.support.upstreams.wire_replay import WIRE_CASES, Playing, Step, WireUpstream

ReplayedSite = Callable[..., tuple[httpx2.Client, WireUpstream]]
Json = dict[str, Any]

MESSAGES = [{"role": "user", "content": "hi"}]
# By door: the body without its model.
DOORS: dict[str, Json] = {
    "/chat": {"prompt": "hi"},
    "/chat/parallel": {"prompt": "hi"},
    "/chat/fallback": {"prompt": "hi"},
    "/chat/stream": {"prompt": "hi"},
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/chat/completions streamed": {"messages": MESSAGES, "stream": True},
    "/v1/completions": {"prompt": "hi"},
    "/v1/completions streamed": {"prompt": "hi", "stream": True},
    "/v1/responses": {"input": "hi"},
    "/v1/responses streamed": {"input": "hi", "stream": True},
    "/v1/embeddings": {"input": "hi"},
}
doors = pytest.mark.parametrize("door", DOORS)


def post(client: httpx2.Client, door: str, model: str) -> httpx2.Response:
    return client.post(door.removesuffix(" streamed"), json={**DOORS[door], "model": model})


def causes() -> list[tuple[str, str]]:
    """Status and error code of each attempt of the last call."""
    call = CallRecord.objects.latest("created_at")
    return list(Attempt.objects.filter(call=call).order_by("ordinal").values_list("status", "error_code"))


def refusal_of(server: Mapping[str, Any]) -> tuple[int, str, list[Step]]:
    error = server.get("error") or {"message": server["message"]}
    return server["status"], error["message"], whole({"error": error}, server["status"])


@doors
def test_a_prompt_that_is_too_long_for_one_model_goes_to_the_next(replayed_site: ReplayedSite, door: str) -> None:
    servers = [refusal_of(server) for server in WIRE_CASES["prompt-too-long"]["upstreams"]]
    models: dict[str, Playing] = {f"narrow-{number}": steps for number, (_, _, steps) in enumerate(servers)}
    client, upstream = replayed_site(models, BREAKER_FAILURES=1)
    for number in range(len(servers)):
        response = post(client, door, f"narrow-{number}>wide")
        assert response.status_code == 200, response.text
        assert upstream.count(f"narrow-{number}") == 1
        assert causes() == [("failed", "context_window_exceeded"), ("succeeded", "")]
    assert client.get("/health/ready").json()["checks"]["circuit_breakers"] == {}


@doors
def test_a_prompt_that_is_too_long_for_the_only_model_is_a_400_in_the_upstreams_words(
    replayed_site: ReplayedSite, door: str
) -> None:
    servers = [refusal_of(server) for server in WIRE_CASES["prompt-too-long"]["upstreams"]]
    models: dict[str, Playing] = {f"narrow-{number}": steps for number, (_, _, steps) in enumerate(servers)}
    client, upstream = replayed_site(models, BREAKER_FAILURES=1)
    for number, (_, message, _) in enumerate(servers):
        response = post(client, door, f"narrow-{number}")
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["message"]) == (400, "context_window_exceeded", message)
        assert upstream.count(f"narrow-{number}") == 1
        call = CallRecord.objects.latest("created_at")
        assert (call.error_code, call.error_message, call.http_status) == ("context_window_exceeded", message, 400)


@doors
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (501, {"error": {"code": 501, "message": "This server does not support it", "type": "not_supported_error"}}),
        (400, {"error": {"message": "registry.ollama.ai/library/m does not support tools", "type": "api_error"}}),
        (404, {"detail": "Not Found"}),
        (405, {"detail": "Method Not Allowed"}),
        (404, {"error": {"message": "This is not a chat model and thus not supported in the v1/chat/completions"}}),
        (500, {"error": {"message": "image input is not supported - hint: you may need to provide the mmproj"}}),
    ],
)
def test_what_a_model_can_not_do_is_asked_of_the_next_one_and_once(
    replayed_site: ReplayedSite, door: str, status: int, error: Json
) -> None:
    client, upstream = replayed_site({"unable": whole(error, status)}, BREAKER_FAILURES=1)
    assert post(client, door, "unable>good").status_code == 200
    assert causes() == [("failed", "not_supported"), ("succeeded", "")]
    alone = post(client, door, "unable")
    if door == "/chat/fallback":  # which always answers
        assert alone.json()["is_default_message"]
    else:
        assert alone.status_code == (status if door.startswith("/v1") else 502)
        assert alone.json()["error"]["code"] == "not_supported"
    assert upstream.count("unable") == 2
    assert client.get("/health/ready").json()["checks"]["circuit_breakers"] == {}


SHAPES = WIRE_CASES["errors-of-another-shape"]["upstreams"]
TOO_LONG = ("context_window_exceeded", "maximum context length is 4096 tokens")


@pytest.mark.parametrize("door", [door for door in DOORS if "completions" in door or door.startswith("/chat")])
@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("whole", *TOO_LONG),
        ("events", *TOO_LONG),
        ("named", "invalid_request", "temperature is too high"),
        ("detail", "invalid_request", "messages: Field required"),
    ],
)
def test_an_error_of_another_shape_is_read_and_what_says_400_is_asked_once(
    replayed_site: ReplayedSite, door: str, model: str, code: str, message: str
) -> None:
    client, upstream = replayed_site(SHAPES, MAX_RETRIES=2)
    if model in ("events", "named") and not ("stream" in door or door == "/chat/parallel"):
        return  # these two are streams
    route = f"{model}|{model}" if door == "/chat/parallel" else model
    response = post(client, door, route)
    assert response.json()["error"]["message"] == message
    if not door.startswith("/v1"):
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert upstream.count(model) == (2 if door == "/chat/parallel" else 1)
    call = CallRecord.objects.latest("created_at")
    assert (call.error_code, call.error_message) == (code, message)


@pytest.mark.parametrize(
    "error",
    [
        "event: error\ndata: out of memory\n\n",
        'event: error\ndata: {"message": "out of memory"}\n\n',
        'event:error\ndata: {"text": "out of memory"}\n\n',
        'data: {"error": "out of memory"}\n\n',
        'data: {"message": "out of memory"}\n\n',
        'data: {"detail": "out of memory"}\n\n',
        'data: {"type": "error", "message": "out of memory"}\n\n',
    ],
)
def test_an_error_in_a_stream_tells_the_cause_in_whatever_shape(replayed_site: ReplayedSite, error: str) -> None:
    client, _ = replayed_site({"m": streamed(error)}, MAX_RETRIES=0)
    response = client.post("/chat/stream", json={"prompt": "hi", "model": "m"})
    assert "out of memory" in response.json()["error"]["message"]
    assert causes() == [("failed", "upstream_failed")]


def test_an_error_with_a_bad_status_may_be_an_event(replayed_site: ReplayedSite) -> None:
    refused = {"error": {"message": "Range of input length should be [1, 30720]", "code": "invalid_parameter_error"}}
    client, upstream = replayed_site({"m": streamed(refused, done=False, status=400)})
    response = client.post("/v1/chat/completions", json={"messages": MESSAGES, "model": "m", "stream": True})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == refused["error"]["message"]
    assert upstream.count("m") == 1


@doors
def test_a_request_that_can_not_be_sent_is_an_attempt_like_any_other(
    start_site: Callable[..., httpx2.Client],
    simulator: SimulatorThread,
    caplog: pytest.LogCaptureFixture,
    door: str,
) -> None:
    bad = Provider(name="bad", base_url=simulator.base_url, api_key="sk-secret\n0123456789")
    good = Provider(name="good", base_url=simulator.base_url, api_key="sk-good-0123456789")
    client = start_site(PROVIDERS={"bad": bad, "good": good})
    assert post(client, door, "bad/m>good/m").status_code == 200
    assert causes() == [("failed", "upstream_misconfigured"), ("succeeded", "")]
    alone = post(client, door, "bad/m")
    if door == "/chat/fallback":
        assert alone.json()["is_default_message"]
    else:
        assert (alone.status_code, alone.json()["error"]["code"]) == (503, "upstream_misconfigured")
    assert causes() == [("failed", "upstream_misconfigured")]
    said = [*Attempt.objects.values_list("error_message", flat=True), alone.text, caplog.text]
    assert not any("sk-secret" in text or "Traceback" in text for text in said)
    assert client.get("/health/ready").json()["checks"]["providers"]["bad"] == "1 of 1 keys refused"


def test_a_rate_limit_of_tokens_stays_one_with_the_status_of_a_large_body(replayed_site: ReplayedSite) -> None:
    said = {"error": {"message": "Request too large for m on tokens per minute (TPM): Limit 6000, Requested 7000"}}
    client, _ = replayed_site({"m": whole(said, 413)}, MAX_RETRIES=0)
    response = client.post("/chat", json={"prompt": "hi", "model": "m"})
    assert (response.status_code, response.json()["error"]["code"]) == (429, "upstream_rate_limited")


def test_an_error_in_a_list_is_read_as_gemini_writes_it(replayed_site: ReplayedSite) -> None:
    said = [{"error": {"code": 400, "message": "Please use a valid role.", "status": "INVALID_ARGUMENT"}}]
    client, _ = replayed_site({"m": whole(said, 400)})
    response = client.post("/v1/chat/completions", json={"messages": MESSAGES, "model": "m"})
    assert json.loads(response.text)["error"]["message"] == "Please use a valid role."
