"""What is read out of a chat completion, whole or in a chunk."""

from __future__ import annotations

import pytest

from llm import CHAT_COMPLETIONS
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json


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
    assert CHAT_COMPLETIONS.text(answer) == text


@pytest.mark.parametrize(
    "delta", [None, "odd", {}, {"role": "assistant"}, {"content": ""}, {"content": None, "tool_calls": []}]
)
def test_a_preamble_says_nothing(delta: object) -> None:
    assert not CHAT_COMPLETIONS.says_something({"choices": [{"delta": delta}]})


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
    assert CHAT_COMPLETIONS.says_something({"choices": [{"delta": delta}]})


def test_everything_that_was_generated_counts_as_output() -> None:
    message = {
        "role": "assistant",
        "content": "text",
        "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert CHAT_COMPLETIONS.output_texts({"choices": [{"message": message}]}) == ["text", "f", "{}"]


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
def test_an_answer_without_any_output_is_refused(answer: Json) -> None:
    with pytest.raises(InvalidUpstreamResponse):
        CHAT_COMPLETIONS.check(answer)
