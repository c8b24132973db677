"""The streams that real upstreams have sent, put together. Source: the files in tests/cases/wire."""

from __future__ import annotations

import pytest

from llm.json_values import Json
from llm.operations.accumulation import text_of
from tests.llm.operations.accumulation.streams import chat, sent


def first(case: str, upstream: str) -> Json:
    choice: Json = chat(*sent(case, upstream))["choices"][0]
    return choice


def test_text_after_thinking_parts_is_not_lost() -> None:
    content = first("content-parts-then-text", "parts")["message"]["content"]
    assert text_of(content) == "The answer is 42"
    assert content == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "The answer is 42"},
    ]


def test_a_finish_reason_that_is_an_error_stays_one() -> None:
    choice = first("finish-reason-error", "dead-stream")
    assert (choice["finish_reason"], choice["message"]["content"]) == ("error", "half")


def test_a_last_frame_that_repeats_the_whole_message_is_not_appended() -> None:
    choice = first("full-message-at-the-end", "full")
    assert choice["message"] == {"role": "assistant", "content": "Hello"}
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("upstream", ["none", "empty"])
def test_a_stream_without_a_finish_reason_is_an_answer_without_one(upstream: str) -> None:
    answer = chat(*sent("no-finish-reason", upstream))
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": None}
    ]
    assert answer["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def test_a_transcript_is_joined_and_the_id_beside_it_is_not() -> None:
    audio = first("repeated-fields-glued", "audio")["message"]["audio"]
    assert audio == {"id": "audio_1", "transcript": "Hello", "expires_at": 1700000000}


def test_the_text_of_reasoning_details_is_joined_and_their_format_is_not() -> None:
    message = first("repeated-fields-glued", "details")["message"]
    detail = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, "text": "Let me", "signature": "S"}
    assert message == {"role": "assistant", "content": "ok", "reasoning_details": [detail]}


def test_a_choice_that_comes_after_the_first_has_ended_is_there() -> None:
    choices = chat(*sent("second-choice-comes-later", "two"))["choices"]
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in choices] == [
        (0, "one", "stop"),
        (1, "two", "stop"),
    ]


@pytest.mark.parametrize("upstream", ["absent", "null"])
def test_a_tool_call_whose_pieces_have_no_index_is_one_call(upstream: str) -> None:
    message = first("tool-calls-no-index", upstream)["message"]
    call = {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    assert message == {"role": "assistant", "content": None, "tool_calls": [call]}


def test_two_tool_calls_at_one_index_are_two_calls() -> None:
    assert first("tool-calls-same-index", "tools")["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "get_time", "arguments": '{"zone":"UTC"}'}},
    ]


@pytest.mark.parametrize("upstream", ["then-zeros", "halves"])
def test_usage_that_is_said_badly_at_the_end_is_the_whole_usage(upstream: str) -> None:
    usage = chat(*sent("usage-that-can-not-be", upstream))["usage"]
    assert usage == {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def test_a_stream_under_another_content_type_reads_the_same() -> None:
    assert first("stream-called-json", "text-html")["message"]["content"] == "Hello"
