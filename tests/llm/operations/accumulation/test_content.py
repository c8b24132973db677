"""Content as text, as parts, and as both in turn; and other lists of blocks."""

from __future__ import annotations

from typing import Any

import pytest

from llm.json_values import Json
from llm.operations.accumulation import text_of
from tests.llm.operations.accumulation.streams import message


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def thought(words: str) -> Json:
    return {"type": "thinking", "thinking": [text(words)]}


@pytest.mark.parametrize(
    ("pieces", "content"),
    [
        ([None], None),
        ([None, ""], ""),
        (["", "a", None, "b"], "ab"),
        ([[]], []),
        (["a", []], "a"),
        ([[text("a")], [text("b")]], [text("ab")]),
        ([[text("a"), text("b")]], [text("ab")]),
        (["a", [text("b")]], [text("ab")]),
        ([[thought("h")], [thought("m")], "a", "b"], [thought("hm"), text("ab")]),
        (["a", [thought("hm")], "b", "", "c"], [text("a"), thought("hm"), text("bc")]),
        ([[thought("h")], "", [text("")], [thought("m")]], [thought("hm")]),
        ([[text("")]], [text("")]),
        (["a", ["b"], "c"], "abc"),
        ([[thought("hm")], ["b"], "c"], [thought("hm"), text("bc")]),
        ([[{"type": "output_text", "text": "a"}], "b"], [{"type": "output_text", "text": "ab"}]),
        ([[text("a")], [{"type": "image_url", "image_url": {"url": "u"}}], [text("b")]], None),
        ([[{"type": "reference", "reference_ids": [1]}], [{"type": "reference", "reference_ids": [1]}]], None),
        ([[text("a\ud83d")], [text("\ude00")]], [text("a😀")]),
        ([[7], "a"], [7, text("a")]),
    ],
)
def test_content_of_either_shape_is_whole(pieces: list[Any], content: Any) -> None:
    """Where no content is named, the whole is the parts as they came."""
    expected = content
    if content is None and any(pieces):
        expected = [part for piece in pieces for part in piece]
    assert message(*({"content": piece} for piece in pieces))["content"] == expected


@pytest.mark.parametrize(
    ("content", "visible"),
    [
        (None, ""),
        (7, ""),
        ("a", "a"),
        ([], ""),
        ([thought("hm"), text("a"), text("b")], "ab"),
        ([{"type": "reasoning", "text": "hm"}, {"text": "a"}, "b", 7, {"type": {}}], "ab"),
        ([{"type": "refusal", "refusal": "No."}], "No."),
        ([{"type": "text", "text": None}, {"type": "image_url"}], ""),
    ],
)
def test_thoughts_are_no_visible_text(content: Any, visible: str) -> None:
    assert text_of(content) == visible


# Thoughts in blocks


def details(*pieces: Json) -> list[Json]:
    blocks: list[Json] = message(*({"reasoning_details": [piece]} for piece in pieces))["reasoning_details"]
    return blocks


def test_blocks_at_one_index_are_apart_where_their_type_or_id_is_another() -> None:
    """So Gemini's thoughts come from OpenRouter: readable and encrypted, all at index 0."""
    encrypted = {"type": "reasoning.encrypted", "index": 0}
    assert details(
        {"type": "reasoning.text", "index": 0, "text": "h"},
        {**encrypted, "id": "tool_a", "data": "AAAA"},
        {"type": "reasoning.text", "index": 0, "text": "m"},
        {**encrypted, "id": "tool_b", "data": "BBBB"},
        {**encrypted, "id": "tool_a", "data": "AAAA"},
        {"index": 0, "data": "CC", "type": "reasoning.encrypted", "id": "tool_a"},
    ) == [
        {"type": "reasoning.text", "index": 0, "text": "hm"},
        {**encrypted, "id": "tool_a", "data": "AAAACC"},
        {**encrypted, "id": "tool_b", "data": "BBBB"},
    ]


def test_summaries_at_two_indexes_are_two() -> None:
    assert details(
        {"type": "reasoning.summary", "index": 0, "summary": "a"},
        {"index": 0, "summary": "b"},
        {"type": "reasoning.summary", "index": 2, "summary": "c"},
    ) == [
        {"type": "reasoning.summary", "index": 0, "summary": "ab"},
        {"type": "reasoning.summary", "index": 2, "summary": "c"},
    ]


def test_blocks_without_an_index_go_on_until_they_are_signed() -> None:
    blocks = message(
        {"thinking_blocks": [{"type": "thinking", "thinking": "a", "signature": None}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "b", "signature": None}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "S1"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "AAAA"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "AAAA"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "c"}]},
    )["thinking_blocks"]
    assert blocks == [
        {"type": "thinking", "thinking": "ab", "signature": "S1"},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "thinking", "thinking": "c"},
    ]


def test_a_thought_that_is_repeated_beside_its_signature_comes_once() -> None:
    """LiteLLM does so for Anthropic's models."""
    blocks = message(
        {"thinking_blocks": [{"type": "thinking", "thinking": "a"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "b"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "ab", "signature": "S"}]},
    )["thinking_blocks"]
    assert blocks == [{"type": "thinking", "thinking": "ab", "signature": "S"}]


def test_a_thought_that_is_an_object_stays_one() -> None:
    thinking = message({"thinking": {"content": "a"}}, {"thinking": {"signature": "S"}})["thinking"]
    assert thinking == {"content": "a", "signature": "S"}
