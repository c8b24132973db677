"""From the chunks of a chat completion's stream to the whole completion that the model would have sent, and back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import CHAT_COMPLETIONS, CallStatus
from llm.json_values import Json
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import Asker, StartEngine
from tests.llm.operations.strategies import TEXT, USAGE, assembled, without_nothing

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


def completion_of(*chunks: Json) -> Json:
    return CHAT_COMPLETIONS.assemble(chunks)


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


# What the simulator does not send


def test_two_tool_calls_are_put_together_by_their_index() -> None:
    first = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "call_b", "type": "function", "function": {"name": "g", "arguments": '{"'}}
    answer = completion_of(
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

    answer = completion_of(
        chunk({"role": "assistant", "content": ""}, logprobs=None),
        chunk({"content": "ab"}, logprobs=logprobs("a", "b")),
        chunk({"content": "c"}, logprobs=logprobs("c")),
        chunk({}, logprobs=None, finish_reason="stop"),
    )
    assert answer["choices"][0]["logprobs"] == logprobs("a", "b", "c")


def test_the_logprobs_of_a_refusal_are_put_in_a_row() -> None:
    entry = {"token": "No", "logprob": -0.1}
    answer = completion_of(
        chunk({"refusal": "No"}, logprobs={"content": None, "refusal": [entry]}),
        chunk({"refusal": "No"}, logprobs={"content": None, "refusal": [entry]}),
    )
    assert answer["choices"][0]["logprobs"] == {"content": None, "refusal": [entry, entry]}


def test_without_logprobs_there_are_none() -> None:
    assert completion_of(chunk({"content": "a"}, logprobs=None))["choices"][0]["logprobs"] is None


def test_a_refusal_is_put_together() -> None:
    answer = completion_of(
        chunk({"role": "assistant", "content": None, "refusal": ""}),
        chunk({"refusal": "I can't "}),
        chunk({"refusal": "help."}),
        chunk({}, finish_reason="stop"),
    )
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "I can't help."}
    assert CHAT_COMPLETIONS.text(answer) == "I can't help."


def test_choices_come_in_the_order_of_their_index_however_they_arrive() -> None:
    answer = completion_of(
        chunk({"content": "b1"}, 1), chunk({"content": "a1"}, 0), chunk({"content": "b2"}, 1), chunk({}, 0)
    )
    assert [(choice["index"], choice["message"]["content"]) for choice in answer["choices"]] == [(0, "a1"), (1, "b1b2")]


def test_fields_that_nobody_knows_yet_are_kept() -> None:
    answer = completion_of(
        {**chunk({"content": "a", "reasoning_content": "hm"}), "service_tier": "default", "new": {"x": 1}},
        chunk({"reasoning_content": "m"}, finish_reason="stop", native_finish_reason="end"),
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    )
    assert (answer["service_tier"], answer["new"], answer["object"]) == ("default", {"x": 1}, "chat.completion")
    assert answer["choices"][0]["message"]["reasoning_content"] == "hmm"
    assert answer["choices"][0]["native_finish_reason"] == "end"
    assert answer["usage"] == {"prompt_tokens": 1, "completion_tokens": 1}


def test_what_a_later_chunk_does_not_say_stays_said() -> None:
    answer = completion_of(chunk({"content": "a"}, finish_reason="stop"), chunk({}, finish_reason=None))
    assert CHAT_COMPLETIONS.finish_reason(answer) == "stop"


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
    answer = completion_of(*(chunk(delta) for delta in copy.deepcopy(deltas)))
    assert answer["choices"][0]["message"] == message


def test_annotations_that_come_in_two_chunks_are_put_in_a_row() -> None:
    """A good answer of a searching model would fail the race as InvalidUpstreamResponse."""
    one, two = ({"type": "url_citation", "url_citation": {"url": f"https://example.com/{n}"}} for n in (1, 2))
    answer = completion_of(chunk({"content": "a", "annotations": [one]}), chunk({"annotations": [two]}))
    assert answer["choices"][0]["message"]["annotations"] == [one, two]


# A completion and its chunks


def test_a_default_message_survives_being_streamed() -> None:
    completion = CHAT_COMPLETIONS.answer_of_text("Sorry.", "a>b")
    assert completion is not None
    again = completion_of(*copy.deepcopy(CHAT_COMPLETIONS.chunks_of(completion)))
    assert again == completion
    assert (CHAT_COMPLETIONS.text(again), CHAT_COMPLETIONS.finish_reason(again)) == ("Sorry.", "stop")


TOOL_CALL = st.builds(
    lambda call_id, name, arguments: {
        "id": f"call_{call_id}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    TEXT,
    TEXT.filter(bool),
    TEXT,
)
MESSAGE = st.builds(
    lambda content, calls, extra: (
        {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})} | extra
    ),
    st.none() | TEXT,
    st.lists(TOOL_CALL, max_size=3),
    st.fixed_dictionaries({}, optional={"refusal": st.none() | TEXT, "reasoning_content": TEXT, "brand_new": TEXT}),
)
LOGPROBS = st.none() | st.just({"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]})


@st.composite
def chat_completions(draw: st.DrawFn) -> Json:
    choices = [
        {
            "index": index,
            "message": message,
            "logprobs": draw(LOGPROBS),
            "finish_reason": draw(st.sampled_from(["stop", "length", "tool_calls"])),
        }
        for index, message in enumerate(draw(st.lists(MESSAGE, min_size=1, max_size=3)))
    ]
    head = {"id": draw(TEXT), "object": "chat.completion", "created": 1, "model": "m", "service_tier": "new"}
    return without_nothing({**head, "choices": choices, "usage": draw(USAGE)})


@given(chat_completions())
def test_a_completion_cut_into_chunks_and_put_together_again_is_the_same(answer: Json) -> None:
    assert assembled(CHAT_COMPLETIONS, CHAT_COMPLETIONS.chunks_of(answer)) == answer


@given(chat_completions(), st.data())
def test_tool_calls_in_any_pieces_add_up_and_leave_the_pieces_alone(answer: Json, data: st.DataObject) -> None:
    head, *rest = CHAT_COMPLETIONS.chunks_of(answer)
    pieces: list[Json] = []
    for choice in head["choices"]:
        delta = choice["delta"]
        calls = delta.pop("tool_calls", [])
        pieces.append({**head, "choices": [choice]})
        for call in calls:
            arguments = call["function"]["arguments"]
            cut = data.draw(st.integers(0, len(arguments)))
            first = {**call, "function": {**call["function"], "arguments": arguments[:cut]}}
            second = {"index": call["index"], "function": {"arguments": arguments[cut:]}}
            for piece in (first, second):
                pieces.append({**head, "choices": [{"index": choice["index"], "delta": {"tool_calls": [piece]}}]})
    assert assembled(CHAT_COMPLETIONS, [*pieces, *rest]) == answer


def test_calls_that_an_upstream_numbers_alike_stay_apart() -> None:
    calls = [{"index": 0, "id": f"c{n}", "type": "function", "function": {"name": f"f{n}"}} for n in range(2)]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    message = assembled(CHAT_COMPLETIONS, CHAT_COMPLETIONS.chunks_of(answer))["choices"][0]["message"]
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["f0", "f1"]


def test_audio_in_pieces_leaves_the_pieces_alone() -> None:
    deltas: list[Json] = [{"audio": {"id": "a", "transcript": "Hel"}}, {"audio": {"transcript": "lo"}}]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    message = assembled(CHAT_COMPLETIONS, chunks)["choices"][0]["message"]
    assert message["audio"] == {"id": "a", "transcript": "Hello"}
