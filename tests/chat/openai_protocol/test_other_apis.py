"""Responses and text completions through the service: the same routing, record and cost as a chat completion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from llm.simulator import Behaviour, SimulatorThread


@pytest.fixture
def sdk(client: httpx2.Client) -> Iterator[OpenAI]:
    with (
        httpx2.Client(trust_env=False) as http,
        OpenAI(base_url=f"{client.base_url}/v1", api_key="x", max_retries=2, http_client=http) as openai_client,
    ):
        yield openai_client


def newest(client: httpx2.Client) -> dict[str, Any]:
    request_id = client.get("/calls").json()["results"][0]["request_id"]
    found: dict[str, Any] = client.get(f"/calls/{request_id}").json()
    return found


def test_a_response_falls_back_and_is_on_record(client: httpx2.Client, sdk: OpenAI) -> None:
    response = sdk.responses.create(model="sim-503>gpt-4o", input="hi", instructions="be kind")
    call = newest(client)
    assert (call["operation"], call["status"], call["model_used"]) == ("responses", "succeeded", "gpt-4o")
    assert call["completion_id"] == response.id
    assert call["content"] == response.output_text
    assert response.usage is not None
    assert (call["prompt_tokens"], call["completion_tokens"]) == (
        response.usage.input_tokens,
        response.usage.output_tokens,
    )
    assert call["cost_usd"] > 0
    assert call["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    assert call["finish_reason"] == "stop"


def test_responses_race_whole_and_streamed(client: httpx2.Client, sdk: OpenAI) -> None:
    whole = sdk.responses.create(model="sim-slow|gpt-4o", input="hi")
    assert whole.output_text
    assert [attempt["status"] for attempt in newest(client)["attempts"]] == ["cancelled", "succeeded"]
    with sdk.responses.stream(model="sim-slow|gpt-4o", input="hi") as stream:
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    call = newest(client)
    assert (call["streamed"], call["content"], call["finish_reason"]) == (True, final.output_text, "stop")
    assert call["time_to_first_token_ms"] is not None
    assert final.usage is not None and call["completion_tokens"] == final.usage.output_tokens


def test_a_streamed_response_that_breaks_ends_in_an_error_event(
    client: httpx2.Client, sdk: OpenAI, simulator: SimulatorThread
) -> None:
    for mishap in (Behaviour(error_after=3), Behaviour(cut_after=3), Behaviour(end_after=3)):
        simulator.script("m", mishap)
        events = list(sdk.responses.create(model="m", input="hi", stream=True))
        assert events[-1].type == "error"
        assert events[-1].sequence_number > events[-2].sequence_number
        assert not any(event.type == "response.completed" for event in events)
        assert newest(client)["status"] == "failed"


def test_a_response_that_fails_before_its_first_word_is_an_http_error_and_falls_back(
    client: httpx2.Client, sdk: OpenAI, simulator: SimulatorThread
) -> None:
    simulator.script("m", Behaviour(error_after=0))
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.responses.create(model="m", input="hi", stream=True, extra_headers={"x-timeout": "2"})
    assert raised.value.status_code == 502
    with sdk.responses.stream(model="m>gpt-4o", input="hi") as stream:
        assert stream.get_final_response().output_text


def test_a_default_message_is_a_response_whole_and_streamed(sdk: OpenAI) -> None:
    extra = {"x-default-message": "later", "x-timeout": "5"}
    assert sdk.responses.create(model="sim-404", input="hi", extra_headers=extra).output_text == "later"
    with sdk.responses.stream(model="sim-404", input="hi", extra_headers=extra) as stream:
        assert stream.get_final_response().output_text == "later"


def test_a_background_response_is_refused_because_nobody_could_fetch_it(sdk: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.responses.create(model="gpt-4o", input="hi", background=True)
    assert raised.value.param == "background"


def test_a_text_completion_falls_back_races_and_streams(client: httpx2.Client, sdk: OpenAI) -> None:
    whole = sdk.completions.create(model="sim-503>gpt-4o", prompt="hi")
    call = newest(client)
    assert (call["operation"], call["content"]) == ("completions", whole.choices[0].text)
    assert call["completion_id"] == whole.id
    raced = sdk.completions.create(model="sim-slow|gpt-4o", prompt="hi")
    assert raced.choices[0].text == whole.choices[0].text
    chunks = list(sdk.completions.create(model="gpt-4o", prompt="hi", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert newest(client)["completion_tokens"] == call["completion_tokens"]


def test_embeddings_fall_back_and_cost(client: httpx2.Client, sdk: OpenAI) -> None:
    answer = sdk.embeddings.create(model="sim-503>text-embedding-3-small", input=["a", "b"])
    assert len(answer.data) == 2
    assert len(answer.data[0].embedding) > 1
    call = newest(client)
    assert (call["operation"], call["status"], call["content"]) == ("embeddings", "succeeded", "")
    assert call["cost_usd"] is not None and call["cost_usd"] > 0
    assert call["prompt_tokens"] == answer.usage.prompt_tokens
    with pytest.raises(openai.BadRequestError):
        sdk.post("/embeddings", cast_to=object, body={"model": "gpt-4o", "input": "a", "stream": True})
