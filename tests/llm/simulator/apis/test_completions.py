"""The simulator's text completions, failures first."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Completion

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import CUT

URL = "/v1/completions"


async def ask(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> httpx2.Response:
    return await http.post(URL, json={"model": model, "prompt": "Once upon", **parameters})


async def read_events(http: httpx2.AsyncClient, events: list[str], model: str = "m", **parameters: Any) -> None:
    """Append the data of each event; raises what httpx2 raises if the stream is cut."""
    body = {"model": model, "prompt": "Once upon", "stream": True, **parameters}
    async with http.stream("POST", URL, json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))


async def events_of(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> list[str]:
    events: list[str] = []
    await read_events(http, events, model, **parameters)
    return events


def choices(events: list[str]) -> list[dict[str, Any]]:
    chunks = [json.loads(event) for event in events if event not in ("[DONE]", "{broken")]
    return [choice for chunk in chunks for choice in chunk.get("choices", [])]


def texts(events: list[str]) -> list[str]:
    return [choice["text"] for choice in choices(events) if choice["text"]]


# Failures


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"model": ""}, "model"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"stream": 1}, "stream"),
        ({"echo": "yes"}, "echo"),
        ({"n": 0}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop": [1]}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ],
)
async def test_a_wrong_parameter_is_400_and_named(
    http: httpx2.AsyncClient, parameters: dict[str, Any], wrong: str
) -> None:
    response = await ask(http, **parameters)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == wrong


async def test_other_methods_are_not_allowed(http: httpx2.AsyncClient) -> None:
    response = await http.get(URL)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_scripted_status_is_an_http_error(sdk: openai.AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(openai.InternalServerError):
        await sdk.completions.create(model="sim-503", prompt="Hi", stream=stream)


async def test_a_refused_parameter_has_no_replacement_here(http: httpx2.AsyncClient) -> None:
    error = (await ask(http, "sim-refuse", max_tokens=5)).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "max_tokens")
    assert "instead" not in error["message"]


async def test_the_longest_prompt_must_fit_the_context_window(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(context_window=10))
    assert (await ask(http, prompt=["word " * 8] * 3)).status_code == 200
    error = (await ask(http, prompt=["short", "word " * 20])).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")


async def test_a_cut_stream_has_exactly_the_scripted_chunks(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(cut_after=2, answer="a b c"))
    events: list[str] = []
    with pytest.raises(CUT):
        await read_events(http, events)
    assert texts(events) == ["a", " b"]
    (seen,) = simulator.state.requests()
    assert (seen["path"], seen["stream"], seen["ended"], seen["chunks_sent"]) == (URL, True, "complete", 2)
    assert seen["body"]["prompt"] == "Once upon"


async def test_an_early_end_has_neither_finish_reason_nor_done(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(end_after=3, answer="a b c d"))
    events = await events_of(http, n=2)
    assert [(each["index"], each["text"], each["finish_reason"]) for each in choices(events)] == [
        (0, "a", None),
        (1, "a", None),
        (0, " b", None),
    ]
    assert "[DONE]" not in events
    whole = (await ask(http, n=2)).json()["choices"]
    assert [(each["text"], each["finish_reason"]) for each in whole] == [("a b", None), ("a", None)]


async def test_a_malformed_event_comes_in_the_middle(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(malformed_after=1, answer="a b"))
    events = await events_of(http)
    assert (events[1], texts(events), events[-1]) == ("{broken", ["a", " b"], "[DONE]")


async def test_an_error_event_ends_the_stream_and_the_sdk_raises_it(
    simulator: RunningSimulator, http: httpx2.AsyncClient, sdk: openai.AsyncOpenAI
) -> None:
    simulator.state.script("m", Behaviour(error_after=1, error={"message": "no more"}))
    events = await events_of(http)
    assert (len(texts(events)), json.loads(events[-1])) == (1, {"error": {"message": "no more"}})
    with pytest.raises(openai.APIError, match="no more"):
        _ = [chunk async for chunk in await sdk.completions.create(model="m", prompt="Hi", stream=True)]


async def test_an_empty_answer_has_no_text_but_a_finish_reason(http: httpx2.AsyncClient) -> None:
    (choice,) = (await ask(http, "sim-empty")).json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("", "stop")
    (choice,) = choices(await events_of(http, "sim-empty"))
    assert (choice["text"], choice["finish_reason"]) == ("", "stop")


# Good answers


async def test_the_whole_answer_has_openais_shape(sdk: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    answer = await sdk.completions.create(model="gpt-x", prompt="Once upon", max_tokens=1_000)
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == ("text_completion", "gpt-x", "stop")
    assert answer.id.startswith("cmpl-")
    assert answer.choices[0].text.endswith("You said: Once upon")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 2
    assert answer.usage.total_tokens == answer.usage.completion_tokens + 2
    payload = (await ask(http, logprobs=3)).json()
    assert Completion.model_validate(payload).choices[0].logprobs is None


async def test_without_a_limit_the_answer_has_sixteen_tokens(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(answer="word " * 50))
    answer = (await ask(http)).json()
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 16)
    answer = (await ask(http, max_tokens=0, echo=True)).json()
    assert (answer["choices"][0]["text"], answer["usage"]["completion_tokens"]) == ("Once upon", 0)


async def test_every_prompt_has_n_choices_in_order_whole_and_streamed(
    simulator: RunningSimulator, sdk: openai.AsyncOpenAI
) -> None:
    prompts = ["one", "two and much longer"]
    whole = await sdk.completions.create(model="m", prompt=prompts, n=2, max_tokens=100)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert [choice.text.rpartition(": ")[2] for choice in whole.choices] == [prompts[0]] * 2 + [prompts[1]] * 2
    streamed = [""] * 4
    reasons = {}
    async for chunk in await sdk.completions.create(model="m", prompt=prompts, n=2, max_tokens=100, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
        if chunk.choices[0].finish_reason:
            reasons[chunk.choices[0].index] = chunk.choices[0].finish_reason
    assert streamed == [choice.text for choice in whole.choices]
    assert reasons == dict.fromkeys(range(4), "stop")
    assert whole.usage is not None
    assert whole.usage.completion_tokens == simulator.state.requests()[1]["chunks_sent"]


async def test_the_prompt_is_echoed_before_the_answer(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(answer=" a time"))
    assert (await ask(http, echo=True)).json()["choices"][0]["text"] == "Once upon a time"
    assert texts(await events_of(http, echo=True)) == ["Once upon", " a", " time"]
    assert simulator.state.requests()[1]["chunks_sent"] == 2


@pytest.mark.parametrize("stop", ["two", ["three", "two"]])
async def test_the_answer_ends_before_a_stop(
    simulator: RunningSimulator, http: httpx2.AsyncClient, stop: str | list[str]
) -> None:
    simulator.state.script("m", Behaviour(answer="one two three"))
    (choice,) = (await ask(http, stop=stop)).json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("one ", "stop")
    assert "".join(texts(await events_of(http, stop=stop))) == "one "


async def test_usage_comes_in_a_last_chunk_without_choices_when_asked(
    simulator: RunningSimulator, sdk: openai.AsyncOpenAI
) -> None:
    options: Any = {"include_usage": True}
    stream = await sdk.completions.create(model="m", prompt="Hi", stream=True, stream_options=options)
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 16
    assert all(chunk.usage is None for chunk in chunks[:-1])
    simulator.state.script("m", Behaviour(usage=False))
    stream = await sdk.completions.create(model="m", prompt="Hi", stream=True, stream_options=options)
    assert all([chunk.choices async for chunk in stream])
    assert (await sdk.completions.create(model="m", prompt="Hi")).usage is None


@pytest.mark.parametrize(("prompt", "tokens"), [([1, 2, 3], 3), ([[1, 2], [3]], 3), (None, 1)])
async def test_tokens_are_a_prompt_too_and_so_is_none(http: httpx2.AsyncClient, prompt: Any, tokens: int) -> None:
    assert (await ask(http, prompt=prompt)).json()["usage"]["prompt_tokens"] == tokens
