"""The simulator's other APIs, as the official SDK sees them: responses and text completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from llm.simulator import Behaviour, SimulatorThread

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


class City(BaseModel):
    name: str
    people: int


@pytest.fixture
def sdk(simulator: SimulatorThread) -> Iterator[OpenAI]:
    with (
        httpx2.Client(trust_env=False) as http,
        OpenAI(base_url=simulator.base_url, api_key="x", max_retries=0, http_client=http) as client,
    ):
        yield client


def test_a_response_says_the_same_whole_and_streamed(sdk: OpenAI) -> None:
    whole = sdk.responses.create(model="gpt-4o", input="hi", instructions="be kind")
    with sdk.responses.stream(model="gpt-4o", input="hi", instructions="be kind") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-1] == "response.completed"


def test_a_response_fits_the_schema_that_was_asked_for(sdk: OpenAI) -> None:
    parsed = sdk.responses.parse(model="gpt-4o", input="x", text_format=City).output_parsed
    assert isinstance(parsed, City)


def test_a_model_with_tools_calls_one_and_answers_when_it_has_the_result(sdk: OpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "weather?"}]
    first = sdk.responses.create(model="sim-tool", input=asked, tools=[WEATHER])
    (call,) = first.output
    assert call.type == "function_call"
    assert call.name == "weather"
    asked += [
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sun"},
    ]
    assert sdk.responses.create(model="sim-tool", input=asked, tools=[WEATHER]).output_text


def test_a_streamed_call_of_a_tool_has_its_arguments_in_pieces(sdk: OpenAI) -> None:
    events = list(sdk.responses.create(model="sim-tool", input="x", tools=[WEATHER], stream=True))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    assert len(pieces) > 1
    assert "".join(pieces) == done.arguments


def test_a_response_that_reaches_its_limit_is_incomplete(sdk: OpenAI) -> None:
    whole = sdk.responses.create(model="gpt-4o", input="hi", max_output_tokens=2)
    assert (whole.status, whole.incomplete_details and whole.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )
    events = list(sdk.responses.create(model="gpt-4o", input="hi", max_output_tokens=2, stream=True))
    assert events[-1].type == "response.incomplete"


def test_an_error_in_a_stream_of_responses_is_an_event_of_that_name(sdk: OpenAI, simulator: SimulatorThread) -> None:
    simulator.script("m", Behaviour(error_after=2))
    events = list(sdk.responses.create(model="m", input="hi", stream=True))
    assert events[-1].type == "error"


def test_a_text_completion_says_the_same_whole_and_streamed(sdk: OpenAI) -> None:
    whole = sdk.completions.create(model="gpt-4o", prompt=["a", "b"])
    texts = ["", ""]
    for chunk in sdk.completions.create(model="gpt-4o", prompt=["a", "b"], stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert {choice.finish_reason for choice in whole.choices} == {"length"}  # 16 tokens, if nobody says how many


@pytest.mark.parametrize("path", ["/completions", "/responses", "/embeddings"])
@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("sim-429", openai.RateLimitError),
        ("sim-500", openai.InternalServerError),
        ("sim-context", openai.BadRequestError),
    ],
)
def test_a_scripted_failure_acts_on_every_api(sdk: OpenAI, path: str, model: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        sdk.post(path, cast_to=object, body={"model": model, "input": "a long enough text", "prompt": "a long text"})


def test_what_was_asked_is_on_record(sdk: OpenAI, simulator: SimulatorThread) -> None:
    sdk.responses.create(model="gpt-4o", input="hi", stream=True).close()
    sdk.completions.create(model="gpt-4o", prompt="hi")
    first, second = simulator.requests()
    assert (first["path"], first["stream"], first["body"]["input"]) == ("/v1/responses", True, "hi")
    assert (second["path"], second["stream"], second["chunks_sent"]) == ("/v1/completions", False, 0)
