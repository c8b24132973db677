"""Good chat completions, as OpenAI's own client and a plain one get them."""

from __future__ import annotations

import json

import httpx2
import openai
import pytest

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import HELLO, ask, contents, events_until_the_end

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "days", "unit"],
        },
    },
}


async def test_the_default_answer_names_the_model_says_simulated_and_echoes(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO)  # type: ignore[arg-type]
    content = answer.choices[0].message.content or ""
    assert "gpt-4o" in content
    assert "simulated" in content
    assert "Hello there" in content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.id.startswith("chatcmpl-")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len("Hello there") // 4
    again = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO)  # type: ignore[arg-type]
    assert again.choices == answer.choices
    assert again.id != answer.id


async def test_a_stream_is_role_then_content_then_finish_reason_then_done(http: httpx2.AsyncClient) -> None:
    events = await events_until_the_end(http)
    first, second, last = (json.loads(events[place])["choices"][0] for place in (0, 1, -2))
    assert first["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert second["delta"]["content"]
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert events[-1] == "[DONE]"
    assert "usage" not in json.loads(events[0])
    assert len({json.loads(event)["id"] for event in events[:-1]}) == 1


async def test_the_sdk_gets_the_same_text_streamed_as_whole(
    simulator: RunningSimulator, sdk: openai.AsyncOpenAI
) -> None:
    text = "  Zeilen\n\nund Wörter: 日本語のとても長い文章です 🙂 \u2028 extraordinarily  \n"
    simulator.state.script("m", Behaviour(answer=text))
    whole = await sdk.chat.completions.create(model="m", messages=HELLO)  # type: ignore[arg-type]
    stream = await sdk.chat.completions.create(model="m", messages=HELLO, stream=True)  # type: ignore[call-overload]
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(pieces) == text
    assert len(pieces) > 10


async def test_usage_comes_in_a_last_chunk_without_choices_when_asked(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(  # type: ignore[call-overload]
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == sum(bool(c.choices and c.choices[0].delta.content) for c in chunks)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_cached_and_reasoning_tokens_are_parts_of_the_totals(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(answer="a b", cached_tokens=100, reasoning_tokens=7))
    usage = (await ask(http)).json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 100 == usage["prompt_tokens"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 7
    assert (usage["completion_tokens"], usage["total_tokens"]) == (9, 109)


async def test_a_model_without_usage_reports_none_even_when_asked(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(usage=False))
    assert "usage" not in (await ask(http)).json()
    events = await events_until_the_end(http, stream_options={"include_usage": True})
    assert all(json.loads(event)["choices"] for event in events[:-1])


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_token_limit_shortens_the_answer_and_says_length(http: httpx2.AsyncClient, name: str) -> None:
    answer = (await ask(http, **{name: 3})).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    events = await events_until_the_end(http, **{name: 3})
    assert len(contents(events)) == 3
    assert '"finish_reason":"length"' in events[-2]


async def test_n_gives_so_many_choices_whole_and_streamed(http: httpx2.AsyncClient) -> None:
    assert [choice["index"] for choice in (await ask(http, n=3)).json()["choices"]] == [0, 1, 2]
    events = await events_until_the_end(http, n=3)
    finished = [json.loads(event)["choices"][0] for event in events[-4:-1]]
    assert [(choice["index"], choice["finish_reason"]) for choice in finished] == [(n, "stop") for n in range(3)]


async def test_a_scripted_finish_reason_is_given(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(finish_reason="content_filter"))
    assert (await ask(http)).json()["choices"][0]["finish_reason"] == "content_filter"


async def test_the_tool_model_calls_the_first_tool_with_fitting_arguments(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="sim-tool", messages=HELLO, tools=[TOOL])  # type: ignore[call-overload]
    (call,) = answer.choices[0].message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == {"city": "simulated", "days": 1, "unit": "C"}
    assert answer.choices[0].message.content is None
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_a_tool_call_is_streamed_in_pieces_that_the_sdk_puts_together(sdk: openai.AsyncOpenAI) -> None:
    deltas = 0
    async with sdk.chat.completions.stream(model="sim-tool", messages=HELLO, tools=[TOOL]) as stream:  # type: ignore[arg-type, list-item]
        async for event in stream:
            deltas += event.type == "tool_calls.function.arguments.delta"
        answer = await stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments)["unit"] == "C"
    assert deltas > 2


async def test_the_tool_model_answers_in_words_without_a_tool_or_with_its_result(http: httpx2.AsyncClient) -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    for parameters in ({}, {"tools": [TOOL], "messages": [*HELLO, result]}, {"tools": [TOOL], "tool_choice": "none"}):
        message = (await ask(http, "sim-tool", **parameters)).json()["choices"][0]["message"]
        assert message["content"]
        assert "tool_calls" not in message
