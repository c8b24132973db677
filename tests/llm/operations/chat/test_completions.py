"""What is read out of a chat completion, whole or in a chunk."""

from __future__ import annotations

import pytest

from llm import CHAT_COMPLETIONS
from llm.errors import EmptyAnswer, InvalidUpstreamResponse, UpstreamFailed
from llm.json_values import Json

THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


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
        ({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}, "c", 3]}}]}, "abc"),
        ({"choices": [{"message": {"content": [THINKING, {"type": "text", "text": "a"}]}}]}, "a"),
        ({"choices": [{"delta": {"content": [THINKING]}}]}, ""),
        ({"choices": [{"message": {"content": None, "refusal": "no"}}]}, "no"),
    ],
)
def test_the_text_is_that_of_the_first_choice(answer: Json, text: str) -> None:
    assert CHAT_COMPLETIONS.text(answer) == text


@pytest.mark.parametrize(
    "delta", [None, 3, {}, {"role": "assistant"}, {"content": ""}, {"content": None, "tool_calls": []}]
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
    ],
)
def test_an_answer_without_choices_is_none(answer: Json) -> None:
    with pytest.raises(InvalidUpstreamResponse):
        CHAT_COMPLETIONS.check(answer, {})


EMPTY_MESSAGES: list[Json] = [
    {},
    {"content": ""},
    {"content": []},
    {"content": [{"type": "text", "text": ""}]},
    {"content": None, "tool_calls": []},
    {"content": None, "audio": None, "images": []},
    {"content": "", "reasoning_content": "Let me think."},
    {"content": None, "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    {"content": [THINKING]},
]


@pytest.mark.parametrize("message", EMPTY_MESSAGES)
@pytest.mark.parametrize("reason", ["stop", "tool_calls", "", None, "null"])
def test_an_answer_that_says_nothing_is_empty_and_thoughts_are_no_answer(message: Json, reason: str | None) -> None:
    with pytest.raises(EmptyAnswer):
        CHAT_COMPLETIONS.check({"choices": [{"message": message, "finish_reason": reason}]}, {})


@pytest.mark.parametrize("message", EMPTY_MESSAGES)
@pytest.mark.parametrize(
    ("reason", "body"), [("length", {}), ("content_filter", {}), ("stop", {"stop": "\n"}), ("stop", {"stop": ["a"]})]
)
def test_an_empty_answer_that_is_explained_is_an_answer(message: Json, reason: str, body: Json) -> None:
    CHAT_COMPLETIONS.check({"choices": [{"message": message, "finish_reason": reason}]}, body)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "a"},
        {"content": [THINKING, {"type": "text", "text": "a"}]},
        {"content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
        {"content": None, "images": [{"type": "image_url", "image_url": {"url": "data:"}}]},
        {"content": None, "audio": {"id": "a", "data": "AAAA", "transcript": ""}},
        {"content": None, "refusal": "No."},
        {"content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_text_image_audio_refusal_and_tool_call_are_answers_with_and_without_a_finish_reason(message: Json) -> None:
    CHAT_COMPLETIONS.check({"choices": [{"message": message, "finish_reason": None}]}, {})


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": "error"},
        {"finish_reason": "insufficient_system_resource"},
        {"finish_reason": "stop", "error": {"code": 502, "message": "Provider returned error"}},
        {"finish_reason": None, "error": "out of memory"},
    ],
)
def test_a_choice_that_says_that_it_failed_is_a_failure_whole_and_in_a_stream(choice: Json) -> None:
    with pytest.raises(UpstreamFailed):
        CHAT_COMPLETIONS.check({"choices": [{"message": {"content": "half"}, **choice}]}, {})
    with pytest.raises(UpstreamFailed):
        CHAT_COMPLETIONS.reader({}).read({"choices": [{"delta": {"content": "half"}, **choice}]})


def test_the_finish_reason_is_that_of_the_choice_whose_text_it_is() -> None:
    choices = [{"index": 1, "finish_reason": "length"}, {"index": 0, "finish_reason": "stop"}]
    assert CHAT_COMPLETIONS.finish_reason({"choices": choices}) == "stop"
    choices[1]["finish_reason"] = None
    assert CHAT_COMPLETIONS.finish_reason({"choices": choices}) == ""


def test_the_text_null_is_no_finish_reason() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "null"}]}
    reader = CHAT_COMPLETIONS.reader({})
    reader.read(chunk)
    assert not reader.finished
    assert CHAT_COMPLETIONS.finish_reason(chunk) == ""
