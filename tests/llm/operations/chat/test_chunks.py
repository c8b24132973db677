"""From the chunks of a chat completion's stream to the whole completion that the model would have sent, and back."""

from __future__ import annotations

import copy

import pytest

from llm import CHAT_COMPLETIONS, CallStatus
from llm.json_values import Json
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import Asker, StartEngine
from tests.llm.operations.strategies import assembled

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
]


def completion_of(*chunks: Json) -> Json:
    return assembled(CHAT_COMPLETIONS, list(chunks))


# Against the simulator: a lone model is asked for a whole answer, a racer for a stream.


async def both_ways(asker: Asker, model: str, body: Json) -> tuple[Json, Json]:
    whole = (await asker.ask(model, body)).completion
    outcome = await asker.ask(f"{model}|sim-timeout", body)
    assert outcome.status is CallStatus.SUCCEEDED
    streamed = outcome.completion
    assert whole is not None and streamed is not None
    for completion in (whole, streamed):
        for mine in ("id", "created"):
            assert completion.pop(mine)
        for choice in completion["choices"]:
            for call in choice["message"].get("tool_calls") or ():
                assert call.pop("id").startswith("call_")
    return whole, streamed


@pytest.mark.parametrize(
    ("behaviour", "body"),
    [
        pytest.param(Behaviour(), {}, id="text"),
        pytest.param(Behaviour(answer="Grüße, 世界 🌍\n\n  indented\t\n"), {}, id="text of all kinds"),
        pytest.param(Behaviour(), {"n": 3}, id="three choices"),
        pytest.param(Behaviour(), {"max_tokens": 2}, id="cut by the caller's limit"),
        pytest.param(Behaviour(tool_call=True), {"tools": TOOLS}, id="a tool call"),
        pytest.param(Behaviour(tool_call=True), {"tools": TOOLS, "n": 2}, id="a tool call in each choice"),
        pytest.param(Behaviour(cached_tokens=9, reasoning_tokens=7), {}, id="usage with its details"),
        pytest.param(Behaviour(usage=False), {}, id="no usage"),
        pytest.param(Behaviour(empty=True, finish_reason="content_filter"), {}, id="filtered"),
    ],
)
async def test_a_raced_answer_is_what_the_model_would_have_sent_as_a_whole(
    simulator: SimulatorThread, start_engine: StartEngine, behaviour: Behaviour, body: Json
) -> None:
    simulator.script("m", behaviour)
    whole, streamed = await both_ways(await start_engine(), "m", body)
    if behaviour.usage is False:
        streamed.pop("usage", None)
    assert streamed == whole


# A completion and its chunks


def test_a_default_message_survives_being_streamed() -> None:
    completion = CHAT_COMPLETIONS.answer_of_text("Sorry.", "a>b")
    assert completion is not None
    again = completion_of(*copy.deepcopy(CHAT_COMPLETIONS.chunks_of(completion)))
    assert again == completion
    assert (CHAT_COMPLETIONS.text(again), CHAT_COMPLETIONS.finish_reason(again)) == ("Sorry.", "stop")


def test_calls_that_an_upstream_numbers_alike_stay_apart() -> None:
    calls = [{"index": 0, "id": f"c{n}", "type": "function", "function": {"name": f"f{n}"}} for n in range(2)]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    message = assembled(CHAT_COMPLETIONS, CHAT_COMPLETIONS.chunks_of(answer))["choices"][0]["message"]
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["f0", "f1"]


def test_choices_that_an_upstream_does_not_number_stay_apart() -> None:
    choices = [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} for text in ("a", "b")]
    again = completion_of(*CHAT_COMPLETIONS.chunks_of({"choices": choices}))
    assert [choice["message"]["content"] for choice in again["choices"]] == ["a", "b"]
