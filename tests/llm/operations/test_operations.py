"""What every operation must do, whichever API it is for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, Operation
from llm.errors import UpstreamError
from llm.json_values import Json
from llm.operations.token_counts import StatedUsage
from tests.llm.operations.strategies import TEXT

STREAMED = (CHAT_COMPLETIONS, COMPLETIONS, RESPONSES)


@pytest.mark.parametrize("operation", STREAMED, ids=lambda operation: operation.name)
@given(text=st.text(min_size=1, max_size=40))
def test_a_default_message_is_a_good_answer_whole_and_streamed(operation: Operation, text: str) -> None:
    answer = operation.answer_of_text(text, "m")
    assert answer is not None
    operation.check(answer, {})
    reader = operation.reader({})
    chunks = operation.chunks_of(answer)
    for chunk in chunks:
        reader.read(chunk)
    assert reader.begun and reader.finished
    assert operation.text(answer) == _streamed_text(operation, chunks) == text
    assert operation.finish_reason(answer) == "stop"
    assert operation.answer_id(chunks[-1]) == operation.answer_id(answer) != ""


@pytest.mark.parametrize(
    ("operation", "answer", "usage"),
    [
        (
            COMPLETIONS,
            {"usage": {"prompt_tokens": 2, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}},
            StatedUsage(2, 3, cached_tokens=1),
        ),
        (EMBEDDINGS, {"usage": {"total_tokens": 5}}, StatedUsage(5, 0)),
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
            StatedUsage(7, 5, cached_tokens=4, reasoning_tokens=2),
        ),
        (RESPONSES, {"type": "response.completed", "response": {"usage": {"input_tokens": 1}}}, StatedUsage(1, None)),
    ],
)
def test_usage_is_read_in_each_api_s_own_words(operation: Operation, answer: Json, usage: StatedUsage) -> None:
    assert operation.usage(answer) == usage


@pytest.mark.parametrize("operation", [*STREAMED, EMBEDDINGS], ids=lambda operation: operation.name)
@pytest.mark.parametrize("usage", [None, [], "many", {}, {"prompt_tokens": "three"}, {"input_tokens": -1}])
def test_usage_that_can_not_be_read_is_none(operation: Operation, usage: Any) -> None:
    assert operation.usage({"object": "response", "usage": usage}) is None


def _streamed_text(operation: Operation, chunks: list[Json]) -> str:
    shown = operation.stream_text()
    return "".join(map(shown.read, chunks)) + shown.rest()


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
    with suppress(UpstreamError):
        operation.check(answer, {})
    if operation.can_stream:
        accumulator = operation.accumulator()
        operation.stream_text().read(answer)
        accumulator.add(answer)
        operation.text(accumulator.answer())
        accumulator.answer()
        for chunk in operation.chunks_of(answer):
            operation.text(chunk)
        with suppress(UpstreamError):
            operation.reader({}).read(answer)


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
