"""A whole answer from a stream's chunks: what the model would have sent if it had been asked for the whole."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from llm import CallStatus
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json
from llm.operations.assembly import (
    assemble,
    check_completion,
    chunks_of_completion,
    completion_of_text,
    finish_reasons,
    first_text,
    output_texts,
    says_something,
)
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import Asker, StartEngine

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


def chunk(delta: Json, index: int = 0, **more: Any) -> Json:
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": None, **more}]}


def assembled(*chunks: Json) -> Json:
    return assemble(list(chunks), accumulate_delta)


# Against the simulator: a race of a model with one that never answers is fetched by stream, a lone model whole


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


# What the simulator does not send


def test_two_tool_calls_are_put_together_by_their_index() -> None:
    first = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "call_b", "type": "function", "function": {"name": "g", "arguments": '{"'}}
    answer = assembled(
        chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
        chunk({"tool_calls": [second]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        chunk({"tool_calls": [{"index": 1, "function": {"arguments": 'y":2}'}}]}),
        chunk({}, finish_reason="tool_calls"),
    )
    assert answer["choices"] == [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                    {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": '{"y":2}'}},
                ],
            },
        }
    ]


def test_logprobs_are_put_in_a_row() -> None:
    def logprobs(*tokens: str) -> Json:
        return {"content": [{"token": token, "logprob": -0.1} for token in tokens], "refusal": None}

    answer = assembled(
        chunk({"role": "assistant", "content": ""}, logprobs=None),
        chunk({"content": "ab"}, logprobs=logprobs("a", "b")),
        chunk({"content": "c"}, logprobs=logprobs("c")),
        chunk({}, logprobs=None, finish_reason="stop"),
    )
    assert answer["choices"][0]["logprobs"] == logprobs("a", "b", "c")


def test_the_logprobs_of_a_refusal_are_put_in_a_row() -> None:
    entry = {"token": "No", "logprob": -0.1}
    answer = assembled(
        chunk({"refusal": "No"}, logprobs={"content": None, "refusal": [entry]}),
        chunk({"refusal": "No"}, logprobs={"content": None, "refusal": [entry]}),
    )
    assert answer["choices"][0]["logprobs"] == {"content": None, "refusal": [entry, entry]}


def test_without_logprobs_there_are_none() -> None:
    assert assembled(chunk({"content": "a"}, logprobs=None))["choices"][0]["logprobs"] is None


def test_a_refusal_is_put_together() -> None:
    answer = assembled(
        chunk({"role": "assistant", "content": None, "refusal": ""}),
        chunk({"refusal": "I can't "}),
        chunk({"refusal": "help."}),
        chunk({}, finish_reason="stop"),
    )
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "I can't help."}
    assert first_text(answer) == "I can't help."


def test_choices_come_in_the_order_of_their_index_however_they_arrive() -> None:
    answer = assembled(
        chunk({"content": "b1"}, 1), chunk({"content": "a1"}, 0), chunk({"content": "b2"}, 1), chunk({}, 0)
    )
    assert [(choice["index"], choice["message"]["content"]) for choice in answer["choices"]] == [(0, "a1"), (1, "b1b2")]


def test_fields_that_nobody_knows_yet_are_kept() -> None:
    answer = assembled(
        {**chunk({"content": "a", "reasoning_content": "hm"}), "service_tier": "default", "new": {"x": 1}},
        chunk({"reasoning_content": "m"}, finish_reason="stop", native_finish_reason="end"),
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    )
    assert (answer["service_tier"], answer["new"], answer["object"]) == ("default", {"x": 1}, "chat.completion")
    assert answer["choices"][0]["message"]["reasoning_content"] == "hmm"
    assert answer["choices"][0]["native_finish_reason"] == "end"
    assert answer["usage"] == {"prompt_tokens": 1, "completion_tokens": 1}


def test_what_a_later_chunk_does_not_say_stays_said() -> None:
    answer = assembled(chunk({"content": "a"}, finish_reason="stop"), chunk({}, finish_reason=None))
    assert finish_reasons(answer) == ["stop"]


REPEATED = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{"}}


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        (
            [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
            {"role": "assistant", "content": "ab"},
        ),
        (
            [{"tool_calls": [REPEATED]}, {"tool_calls": [{**REPEATED, "function": {"name": "f", "arguments": "}"}}]}],
            {
                "content": None,
                "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        ),
    ],
    ids=["role", "id and name of a tool call"],
)
def test_a_name_that_a_provider_repeats_in_every_chunk_is_one_name(deltas: list[Json], message: Json) -> None:
    """OpenRouter and others send the role with every chunk."""
    answer = assembled(*(chunk(delta) for delta in copy.deepcopy(deltas)))
    assert answer["choices"][0]["message"] == message


def test_annotations_that_come_in_two_chunks_are_put_in_a_row() -> None:
    """A good answer of a searching model would fail the race as InvalidUpstreamResponse."""
    one, two = ({"type": "url_citation", "url_citation": {"url": f"https://example.com/{n}"}} for n in (1, 2))
    answer = assembled(chunk({"content": "a", "annotations": [one]}), chunk({"annotations": [two]}))
    assert answer["choices"][0]["message"]["annotations"] == [one, two]


# A completion and its chunks


def test_a_default_message_survives_being_streamed() -> None:
    completion = completion_of_text("Sorry.", "a>b")
    again = assembled(*copy.deepcopy(chunks_of_completion(completion)))
    assert again == completion
    assert (first_text(again), finish_reasons(again)) == ("Sorry.", ["stop"])


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({}, ""),
        ({"choices": None}, ""),
        ({"choices": ["odd"]}, ""),
        ({"choices": [{"message": {"content": "a"}}]}, "a"),
        ({"choices": [{"delta": {"content": "a"}}]}, "a"),
        ({"choices": [{"message": {"content": None}}]}, ""),
        ({"choices": [{"index": 1, "delta": {"content": "second"}}]}, ""),
        ({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}, "odd"]}}]}, "ab"),
        ({"choices": [{"message": {"content": None, "refusal": "no"}}]}, "no"),
    ],
)
def test_the_text_is_that_of_the_first_choice(answer: Json, text: str) -> None:
    assert first_text(answer) == text


@pytest.mark.parametrize(
    "delta", [None, "odd", {}, {"role": "assistant"}, {"content": ""}, {"content": None, "tool_calls": []}]
)
def test_a_preamble_says_nothing(delta: object) -> None:
    assert not says_something(delta)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": " "},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
        {"reasoning_content": "hm"},
    ],
)
def test_every_kind_of_output_says_something(delta: Json) -> None:
    assert says_something(delta)


def test_everything_that_was_generated_counts_as_output() -> None:
    message = {
        "role": "assistant",
        "content": "text",
        "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert list(output_texts(message)) == ["text", "f", "{}"]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"choices": []},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": None, "tool_calls": []}, "finish_reason": "tool_calls"}]},
    ],
)
def test_an_answer_without_an_answer_in_it_is_refused(answer: Json) -> None:
    with pytest.raises(InvalidUpstreamResponse):
        check_completion(answer)
