"""The pure part of each operation: what it reads out of an answer, and that a stream and a whole amount to the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming._deltas import accumulate_delta

from llm import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, Operation, Usage
from llm.errors import ContextWindowExceeded, InvalidUpstreamResponse, UpstreamError, UpstreamRateLimited
from llm.json_values import Json
from llm.operations.embeddings import NoStream

STREAMED = (CHAT_COMPLETIONS, COMPLETIONS, RESPONSES)
TEXT = st.text(max_size=20)
USAGE = st.none() | st.just({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "new_details": {"a": 1}})


def assembled(operation: Operation, chunks: list[Json]) -> Json:
    before = copy.deepcopy(chunks)
    answer = operation.assemble(chunks, accumulate_delta)
    assert chunks == before, "a chunk may still wait to be sent when the answer is put together"
    return answer


def without_nothing(answer: Json) -> Json:
    return {name: value for name, value in answer.items() if value is not None}


# Chat completions

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


# Text completions


@st.composite
def text_completions(draw: st.DrawFn) -> Json:
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": None, "text_offset": [0]}
    choices = [
        {
            "index": index,
            "text": draw(TEXT),
            "logprobs": draw(st.sampled_from([None, logprobs])),
            "finish_reason": draw(st.sampled_from(["stop", "length"])),
            "brand_new": draw(TEXT),
        }
        for index in range(draw(st.integers(1, 3)))
    ]
    head = {"id": draw(TEXT), "object": "text_completion", "created": 1, "model": "m"}
    return without_nothing({**head, "choices": choices, "usage": draw(USAGE)})


@given(text_completions())
def test_a_text_completion_cut_into_chunks_and_put_together_again_is_the_same(answer: Json) -> None:
    chunks = COMPLETIONS.chunks_of(answer)
    assert assembled(COMPLETIONS, chunks) == answer
    assert all(not chunk["choices"] for chunk in chunks if "usage" in chunk), "usage must be easy to leave out"


def test_log_probabilities_of_a_text_completion_add_up_by_kind() -> None:
    def chunk(text: str, **logprobs: Any) -> Json:
        return {"id": "c", "choices": [{"index": 0, "text": text, "logprobs": logprobs, "finish_reason": None}]}

    answer = assembled(
        COMPLETIONS,
        [
            chunk("a", tokens=["a"], top_logprobs=None, text_offset=[0]),
            chunk("b", tokens=["b"], top_logprobs=None),
            chunk("", tokens=None, text_offset=[1]),
        ],
    )
    assert answer["choices"][0]["text"] == "ab"
    assert answer["choices"][0]["logprobs"] == {"tokens": ["a", "b"], "top_logprobs": None, "text_offset": [0, 1]}


# Responses


def message_item(*parts: Json) -> Json:
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": list(parts)}


PART = st.builds(lambda text: {"type": "output_text", "text": text, "annotations": []}, TEXT) | st.builds(
    lambda text: {"type": "refusal", "refusal": text}, TEXT
)
ITEM = (
    st.builds(lambda parts: message_item(*parts), st.lists(PART, max_size=3))
    | st.builds(
        lambda arguments: {"id": "fc", "type": "function_call", "call_id": "c", "name": "f", "arguments": arguments},
        TEXT,
    )
    | st.just({"id": "rs", "type": "reasoning", "summary": []})
)


@given(st.lists(ITEM, max_size=4), st.sampled_from(["completed", "incomplete"]))
def test_a_response_cut_into_events_and_put_together_again_is_the_same(output: list[Json], status: str) -> None:
    answer = {"id": "resp_1", "object": "response", "status": status, "output": output, "brand_new": {"a": [1]}}
    events = RESPONSES.chunks_of(answer)
    assert assembled(RESPONSES, events) == answer
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    said = "".join(RESPONSES.text(event) for event in events)
    assert said == RESPONSES.text(answer)
    assert [event["type"] for event in events if RESPONSES.finish_reason(event)] == [f"response.{status}"]


@pytest.mark.parametrize(
    "output",
    [[], [message_item()], [message_item({"type": "output_text", "text": ""})], [{"type": "reasoning", "summary": []}]],
    ids=["nothing", "no parts", "no text", "only reasoning"],
)
def test_a_response_that_says_nothing_is_no_answer_whole_or_streamed(output: list[Json]) -> None:
    answer = {"id": "r", "object": "response", "status": "completed", "output": output}
    with pytest.raises(InvalidUpstreamResponse):
        RESPONSES.check(answer)
    with pytest.raises(InvalidUpstreamResponse):
        for event in RESPONSES.chunks_of(answer):
            RESPONSES.reader().read(event)
    RESPONSES.check({**answer, "status": "incomplete"})


def test_a_response_that_calls_a_tool_says_so_wherever_the_call_stands() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    text = message_item({"type": "output_text", "text": "One moment."})
    for output, reason in (([call, text], "tool_calls"), ([text, call], "tool_calls"), ([text], "stop")):
        assert RESPONSES.finish_reason({"object": "response", "status": "completed", "output": output}) == reason
    limited = {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert RESPONSES.finish_reason(limited) == "length"
    assert RESPONSES.finish_reason({**limited, "incomplete_details": {"reason": "content_filter"}}) == "content_filter"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None}, UpstreamRateLimited),
        (
            {"type": "response.failed", "response": {"error": {"code": "context_length_exceeded"}}},
            ContextWindowExceeded,
        ),
        ({"type": "response.failed", "response": {}}, UpstreamError),
    ],
)
def test_an_event_that_says_the_response_failed_is_that_error(event: Json, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        RESPONSES.reader().read(event)


def test_a_response_has_begun_with_its_first_output_and_ended_with_its_last_event() -> None:
    reader = RESPONSES.reader()
    states = []
    for event in (
        {"type": "response.created", "response": {}},
        {"type": "response.output_item.added", "item": message_item()},
        {"type": "response.output_item.done", "item": {"type": "reasoning"}},
        {"type": "response.output_text.delta", "delta": ""},
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": "response.completed", "response": {"output": []}},
    ):
        reader.read(event)
        states.append((reader.begun, reader.finished))
    assert states == [(False, False)] * 4 + [(True, False), (True, True)]
    reader = RESPONSES.reader()
    reader.read({"type": "response.output_item.done", "item": {"type": "web_search_call"}})
    assert reader.begun


# What all have in common


@pytest.mark.parametrize("operation", STREAMED, ids=lambda operation: operation.name)
@given(text=st.text(min_size=1, max_size=40))
def test_a_default_message_is_a_good_answer_whole_and_streamed(operation: Operation, text: str) -> None:
    answer = operation.answer_of_text(text, "m")
    assert answer is not None
    operation.check(answer)
    reader = operation.reader()
    chunks = operation.chunks_of(answer)
    for chunk in chunks:
        reader.read(chunk)
    assert reader.begun and reader.finished
    assert operation.text(answer) == "".join(operation.text(chunk) for chunk in chunks) == text
    assert operation.finish_reason(answer) == "stop"
    assert operation.answer_id(chunks[-1]) == operation.answer_id(answer) != ""


@pytest.mark.parametrize(
    ("operation", "answer", "usage"),
    [
        (
            COMPLETIONS,
            {"usage": {"prompt_tokens": 2, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}},
            Usage(2, 3, cached_tokens=1),
        ),
        (EMBEDDINGS, {"usage": {"total_tokens": 5}}, Usage(5, 0)),
        (
            RESPONSES,
            {
                "object": "response",
                "usage": {
                    "input_tokens": 7,
                    "output_tokens": 5,
                    "input_tokens_details": {"cached_tokens": 4},
                    "output_tokens_details": {"reasoning_tokens": 2},
                },
            },
            Usage(7, 5, cached_tokens=4, reasoning_tokens=2),
        ),
        (RESPONSES, {"type": "response.completed", "response": {"usage": {"input_tokens": 1}}}, Usage(1, 0)),
    ],
)
def test_usage_is_read_in_each_api_s_own_words(operation: Operation, answer: Json, usage: Usage) -> None:
    assert operation.usage(answer) == usage


@pytest.mark.parametrize("operation", [*STREAMED, EMBEDDINGS], ids=lambda operation: operation.name)
@pytest.mark.parametrize("usage", [None, [], "many", {}, {"prompt_tokens": "3"}, {"input_tokens": -1}])
def test_usage_that_can_not_be_read_is_none(operation: Operation, usage: Any) -> None:
    assert operation.usage({"object": "response", "usage": usage}) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "message", "text", "content", "usage", "output", "response", "type"])
            | TEXT,
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("operation", [*STREAMED, EMBEDDINGS], ids=lambda operation: operation.name)
@given(answer=st.dictionaries(st.sampled_from(["choices", "output", "response", "usage", "type", "id"]), JUNK))
def test_whatever_an_upstream_sends_is_read_or_refused(operation: Operation, answer: Json) -> None:
    reads: list[Callable[[Json], Any]] = [
        operation.text,
        operation.finish_reason,
        operation.usage,
        operation.answer_id,
        operation.says_something,
        operation.output_texts,
    ]
    for read in reads:
        read(answer)
    for check in (operation.check, *([operation.reader().read] if operation.can_stream else [])):
        with suppress(UpstreamError):
            check(answer)


def test_embeddings_are_checked_and_can_not_be_streamed() -> None:
    for data in (None, [], {}, [{}], [{"embedding": []}], [{"embedding": [0.5]}, 3]):
        with pytest.raises(InvalidUpstreamResponse):
            EMBEDDINGS.check({"data": data})
    EMBEDDINGS.check({"data": [{"embedding": "AAAA"}]})
    for stream in (EMBEDDINGS.reader, lambda: EMBEDDINGS.stream_body({}), lambda: EMBEDDINGS.chunks_of({})):
        with pytest.raises(NoStream):
            stream()
    assert EMBEDDINGS.answer_of_text("a", "m") is None


def test_what_was_asked_is_kept_as_messages() -> None:
    user = {"role": "user", "content": "Hello"}
    assert COMPLETIONS.messages({"prompt": "Hello"}) == EMBEDDINGS.messages({"input": "Hello"}) == [user]
    assert RESPONSES.messages({"input": "Hello", "instructions": "Be kind"}) == [
        {"role": "system", "content": "Be kind"},
        user,
    ]
    assert RESPONSES.messages({"input": [user]}) == [user]
    assert CHAT_COMPLETIONS.messages({"messages": "no list"}) == []
    assert EMBEDDINGS.prompt_tokens({"input": [[1, 2, 3], [4]]}) == 4


def test_a_stream_asks_for_its_usage_and_keeps_the_other_options() -> None:
    for operation in (CHAT_COMPLETIONS, COMPLETIONS):
        asked = {"stream_options": {"include_obfuscation": False, "include_usage": False}, "new": 1}
        body = operation.stream_body(asked)
        assert body == {
            "stream": True,
            "stream_options": {"include_obfuscation": False, "include_usage": True},
            "new": 1,
        }
        assert operation.whole_body(body) == {"new": 1}
    assert RESPONSES.stream_body({"new": 1}) == {"stream": True, "new": 1}
