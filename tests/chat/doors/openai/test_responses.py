"""POST /v1/responses, against an upstream written by hand"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from chat.models import CallRecord
from llm import RESPONSES
from tests.support.openai_sdk import chunks_of, sdk_of
from tests.support.upstreams.written_upstream import Json, Reply, event_stream, sse

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 12,
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Rome"}',
}


def response_with(*output: Json, **more: Any) -> Json:
    made = RESPONSES.answer_of_text("x", "gpt-4o")
    assert made is not None
    return {**made, "id": "resp_w", "output": list(output), "usage": USAGE, "brand_new": {"a": None}, **more}


def message(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def answer(path: str, body: Json) -> Reply:
    assert path == "/v1/responses"
    match body["model"]:
        case "down":
            return Reply({"error": {"message": "down", "type": "server_error"}}, status=500)
        case "empty":
            whole = response_with()
        case "tool":
            whole = response_with(CALL)
        case "structured":
            whole = response_with(message('{"name": "one", "count": 2}'))
        case "failed":
            error = {"code": "rate_limit_exceeded", "message": "slow down"}
            whole = response_with(status="failed", error=error)
            if body.get("stream"):
                return event_stream({"type": "response.failed", "response": whole}, named=True, done=False)
        case "breaks":
            begun = RESPONSES.chunks_of(response_with(message("half")))[:5]
            said = {"type": "error", "code": "server_error", "message": "broke", "param": None, "sequence_number": 5}
            return event_stream(*begun, said, named=True, done=False)
        case "cut":
            return event_stream(*RESPONSES.chunks_of(response_with(message("half")))[:5], named=True, done=False)
        case _:
            whole = response_with(message("Good day."))
    if body.get("stream"):
        return event_stream(*RESPONSES.chunks_of(whole), named=True, done=False)
    return Reply(whole)


@pytest.fixture
def site(written_site: Callable[..., Any]) -> Any:
    return written_site(answer, MAX_RETRIES=0)


def test_whole_raced_and_after_a_fallback(site: Any) -> None:
    client, upstream = site
    asked = {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
        "instructions": "Be kind",
        "tools": [{"type": "web_search"}],
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "previous_response_id": "resp_0",
        "store": True,
        "metadata": {"team": "blue"},
        "brand_new": [None],
    }
    expected = {name: value for name, value in response_with(message("Good day.")).items() if name != "created_at"}
    for model in ("gpt-4o", "down>empty>failed>gpt-4o", "down|gpt-4o"):
        answered = client.post("/v1/responses", json={"model": model, **asked})
        assert {k: v for k, v in answered.json().items() if k != "created_at"} == expected, model
        assert answered.headers["x-model-used"] == "gpt-4o"
        call = CallRecord.objects.latest("created_at")
        assert (call.door, call.operation, call.route, call.status) == ("openai", "responses", model, "succeeded")
        assert (call.prompt_tokens, call.completion_tokens, call.cached_tokens, call.reasoning_tokens) == (9, 3, 4, 1)
        assert (call.completion_id, call.finish_reason, call.stored) == ("resp_w", "stop", False)
        assert call.body.content == "Good day."
        assert call.body.messages[0] == {"role": "system", "content": "Be kind"}
        assert call.metadata == {"team": "blue"}
        # The answers of `empty` and `failed` name gpt-4o, so its price is theirs. `down` has no price. It has used
        # tokens if it was cancelled before it could refuse.
        used = {attempt.model for attempt in call.attempts.all() if attempt.prompt_tokens is not None}
        assert call.cost_incomplete == ("down" in used)
        assert ("empty" in used) == ("empty" in model)
    assert upstream.seen[0] == ("/v1/responses", {"model": "gpt-4o", **asked})


def test_a_stream_s_events_come_as_they_are_by_their_names(site: Any) -> None:
    client, _ = site
    streamed = client.post("/v1/responses", json={"model": "down>gpt-4o", "input": "Hello", "stream": True})
    chunks = chunks_of(streamed)
    assert [chunk["type"] for chunk in chunks] == [
        line.removeprefix("event: ") for line in streamed.text.splitlines() if line.startswith("event: ")
    ]
    assert chunks[-1]["type"] == "response.completed"
    assert chunks[-1]["response"]["usage"] == USAGE
    assert "[DONE]" not in streamed.text
    assert [chunk["sequence_number"] for chunk in chunks] == list(range(len(chunks)))
    call = CallRecord.objects.get()
    assert (call.streamed, call.prompt_tokens, call.completion_id, call.finish_reason) == (True, 9, "resp_w", "stop")
    assert call.body.content == "Good day."


class Step(BaseModel):
    name: str
    count: int


def test_the_sdk_creates_parses_and_streams(site: Any) -> None:
    sdk = sdk_of(site[0])
    for model in ("gpt-4o", "down|gpt-4o"):
        assert sdk.responses.create(model=model, input="Hello").output_text == "Good day."
    for model in ("structured", "empty>structured"):
        assert sdk.responses.parse(model=model, input="a", text_format=Step).output_parsed == Step(name="one", count=2)
    tool = sdk.responses.create(model="tool|down", input="a").output[0]
    assert (tool.type, tool.arguments) == ("function_call", '{"city":"Rome"}')  # type: ignore[union-attr]
    with sdk.responses.stream(model="gpt-4o", input="Hello") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(deltas) == stream.get_final_response().output_text == "Good day."
    events = list(sdk.responses.create(model="tool", input="a", stream=True))
    assert events[-1].type == "response.completed"
    assert CallRecord.objects.latest("created_at").finish_reason == "tool_calls"


def test_a_default_message_is_a_response_whole_and_streamed(site: Any) -> None:
    sdk = sdk_of(site[0])
    extras = {"x-default-message": "Sorry.\n漢"}
    assert sdk.responses.create(model="down", input="a", extra_body=extras).output_text == "Sorry.\n漢"
    with sdk.responses.stream(model="down", input="a", extra_body=extras) as stream:
        assert [event.type for event in stream][-1] == "response.completed"
        assert stream.get_final_response().output_text == "Sorry.\n漢"
    assert list(CallRecord.objects.values_list("status", "body__content").distinct()) == [("defaulted", "Sorry.\n漢")]


def test_failures_are_http_before_the_first_output_and_an_event_after_it(site: Any) -> None:
    client, upstream = site
    sdk = sdk_of(client)
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError, match="slow down"):
            sdk.responses.create(model="failed", input="a", stream=stream)
    assert len(upstream.seen) == 2
    assert sdk.responses.create(model="empty", input="a").output_text == ""
    [*_, last] = sdk.responses.create(model="empty", input="a", stream=True)
    assert last.type == "response.completed"
    assert len(upstream.seen) == 4
    for model, code in (("breaks>gpt-4o", "server_error"), ("cut>gpt-4o", "stream_interrupted")):
        *said, error = sdk.responses.create(model=model, input="a", stream=True)
        assert error.type == "error"
        assert (error.code, error.sequence_number, len(said)) == (code, 5, 5)
        call = CallRecord.objects.latest("created_at")
        assert (call.status, call.http_status, call.body.content) == ("failed", 200, "half")


def test_the_last_event_is_there_only_when_the_call_is_on_record(written_site: Callable[..., Any]) -> None:
    def pieces() -> Iterator[bytes]:
        for event in RESPONSES.chunks_of(response_with(message("Good day."))):
            yield sse(event, named=True, done=False)

    client, _ = written_site(lambda path, body: Reply(pieces(), content_type="text/event-stream"))
    asked = {"model": "gpt-4o", "input": "a", "stream": True}
    with client.stream("POST", "/v1/responses", json=asked) as response:
        for line in response.iter_lines():
            if line == "event: response.completed":
                assert CallRecord.objects.get().status == "succeeded"
                break
        else:
            pytest.fail("the last event did not come")


def test_background_responses_are_refused_by_name(site: Any) -> None:
    client: httpx2.Client = site[0]
    response = client.post("/v1/responses", json={"model": "gpt-4o", "input": "a", "background": True})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "background")
