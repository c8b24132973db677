"""Responses and text completions of the simulator, which can be slow and can fail where a written upstream can not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.openai_sdk import chunks_of, sdk_of
from tests.support.waiting import eventually

StartSite = Callable[..., httpx2.Client]
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def latest() -> CallRecord:
    return CallRecord.objects.latest("created_at")


def test_responses_whole_streamed_raced_and_after_a_fallback_say_the_same(sdk: openai.OpenAI) -> None:
    said = set()
    for model in ("gpt-4o", "gpt-4o|sim-timeout", "sim-500>sim-empty>gpt-4o"):
        whole = sdk.responses.create(model=model, input="Hello")
        with sdk.responses.stream(model=model, input="Hello") as stream:
            kinds = [event.type for event in stream]
            streamed = stream.get_final_response()
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
        assert whole.usage is not None and whole.usage == streamed.usage
        call = latest()
        assert (call.completion_id, call.prompt_tokens) == (streamed.id, whole.usage.input_tokens)
        assert (call.completion_tokens, call.usage_estimated, call.http_status) == (
            whole.usage.output_tokens,
            False,
            200,
        )
        said |= {whole.output_text, streamed.output_text, call.body.content}
    assert len(said) == 1


def test_a_tool_call_of_a_response_races_and_streams(sdk: openai.OpenAI) -> None:
    for model in ("sim-tool", "sim-empty|sim-tool", "sim-500>sim-tool"):
        whole = sdk.responses.create(model=model, input="Hello", tools=[WEATHER])
        with sdk.responses.stream(model=model, input="Hello", tools=[WEATHER]) as stream:
            for _ in stream:
                pass
            streamed = stream.get_final_response()
        for answer in (whole, streamed):
            (call,) = answer.output
            assert json.loads(call.arguments) == {"city": "simulated"}  # type: ignore[union-attr]
        assert latest().finish_reason == "tool_calls"


@pytest.mark.parametrize("api", ["responses", "completions"])
def test_a_stream_that_breaks_is_an_error_event_and_a_failed_row(
    start_site: StartSite, simulator: SimulatorThread, api: str
) -> None:
    client = start_site(STREAM_IDLE_TIMEOUT=0.3)
    asked = {"input": "Hello"} if api == "responses" else {"prompt": "Hello"}
    for behaviour in (Behaviour(cut_after=3), Behaviour(stall_after=3), Behaviour(end_after=3)):
        simulator.script("breaks", behaviour)
        response = client.post(f"/v1/{api}", json={"model": "breaks>gpt-4o", "stream": True, **asked})
        error = chunks_of(response)[-1]
        assert (error if api == "responses" else error["error"])["code"] == "stream_interrupted"
        assert "[DONE]" not in response.text and "response.completed" not in response.text
        assert (latest().status, latest().http_status, latest().body.content) == ("failed", 200, "This is a")


@pytest.mark.parametrize("api", ["responses", "completions"])
def test_a_client_that_goes_away_stops_the_upstream(
    client: httpx2.Client, simulator: SimulatorThread, api: str
) -> None:
    simulator.script("paced", Behaviour(answer="one two three " * 200, tokens_per_second=50))
    asked = {"input": "Hello"} if api == "responses" else {"prompt": "Hello"}
    with client.stream("POST", f"/v1/{api}", json={"model": "paced", "stream": True, **asked}) as response:
        for line in response.iter_lines():
            if "two" in line:
                break
    eventually(CallRecord.objects.filter(status="cancelled").exists)
    call = latest()
    assert (call.http_status, call.usage_estimated) == (499, True)
    # A racer of the test before may have been noted since, so the request is looked for by its model.
    eventually(
        lambda: ("paced", "disconnected") in [(seen["model"], seen["ended"]) for seen in simulator.requests()],
        why=lambda: str(simulator.requests()),
    )


def test_text_completions_whole_streamed_and_failed(start_site: StartSite, simulator: SimulatorThread) -> None:
    sdk = sdk_of(start_site(MAX_RETRIES=0))
    for model in ("gpt-4o", "sim-500>gpt-4o", "gpt-4o|sim-timeout"):
        whole = sdk.completions.create(model=model, prompt="Hello")
        options: Any = {"include_usage": True}
        chunks = list(sdk.completions.create(model=model, prompt="Hello", stream=True, stream_options=options))
        assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
        assert chunks[-1].usage == whole.usage
    simulator.reset()
    with pytest.raises(openai.RateLimitError):
        sdk.completions.create(model="sim-429", prompt="Hello")
    with pytest.raises(openai.InternalServerError):
        sdk.responses.create(model="sim-500", input="Hello")
    assert len(simulator.requests()) == 2
