"""Which tool call a piece belongs to. Each stream is one that users of some server have reported."""

from __future__ import annotations

from typing import Any

import pytest

from llm.json_values import Json
from tests.llm.operations.accumulation.streams import message

NONE = object()


def piece(index: Any = NONE, call_id: Any = NONE, name: Any = NONE, arguments: Any = NONE) -> Json:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not NONE}
    fields: Json = {"index": index, "id": call_id}
    return {**{key: value for key, value in fields.items() if value is not NONE}, "function": function}


def calls(*pieces: Json) -> list[tuple[Any, Any, Any]]:
    whole: list[Json] = message(*({"tool_calls": [each]} for each in pieces))["tool_calls"]
    assert all(call["type"] == "function" and "index" not in call for call in whole)
    return [(call.get("id"), call["function"].get("name"), call["function"].get("arguments")) for call in whole]


def test_a_call_in_pieces_as_openai_sends_it() -> None:
    whole = message(
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    )
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    assert whole == {"role": "assistant", "content": None, "tool_calls": [call]}


def test_interleaved_calls_are_told_apart_by_their_index() -> None:
    assert calls(
        piece(0, "a", "f", ""), piece(1, "b", "g", ""), piece(0, arguments="{"), piece(1, arguments="{"),
        piece(0, arguments="}"), piece(1, arguments="}"),
    ) == [("a", "f", "{}"), ("b", "g", "{}")]  # fmt: skip


def test_calls_come_in_the_order_of_their_index_and_without_gaps() -> None:
    """LiteLLM begins at 1 where thoughts came first."""
    assert calls(piece(3, "b", "g", "{}"), piece(1, "a", "f", "{}")) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_pieces_of_two_calls_in_one_chunk() -> None:
    whole = message({"tool_calls": [piece(0, "a", "f", "{}"), piece(0, arguments=""), piece(1, "b", "g", "{}")]})
    assert [call["id"] for call in whole["tool_calls"]] == ["a", "b"]


# Two calls at one index


def test_complete_calls_at_one_index_are_apart_though_they_have_one_name() -> None:
    """Ollama and others send all calls at index 0."""
    assert calls(piece(0, "a", "f", '{"p":"a"}'), piece(0, "b", "f", '{"p":"b"}')) == [
        ("a", "f", '{"p":"a"}'),
        ("b", "f", '{"p":"b"}'),
    ]


@pytest.mark.parametrize("ids", [("", ""), ("0", "1"), (None, None)], ids=["lmdeploy", "sglang", "null"])
def test_calls_in_pieces_at_one_index_are_apart(ids: tuple[Any, Any]) -> None:
    """The pieces of lmdeploy have an empty id, those of SGLang repeat it."""
    again = (NONE, NONE) if ids[0] is None else ids
    assert calls(
        piece(0, "0", "f", ""), piece(0, again[0], None, "{"), piece(0, again[0], None, "}"),
        piece(0, "1", "f", ""), piece(0, again[1], None, "{"), piece(0, again[1], None, "}"),
    ) == [("0", "f", "{}"), ("1", "f", "{}")]  # fmt: skip


def test_complete_calls_at_one_index_without_ids_are_apart() -> None:
    assert calls(piece(0, name="f", arguments="{}"), piece(0, name="g", arguments="{}")) == [
        (None, "f", "{}"),
        (None, "g", "{}"),
    ]
    assert calls(piece(0, name="f", arguments='{"a":1}'), piece(0, name="f", arguments='{"a":2}')) == [
        (None, "f", '{"a":1}'),
        (None, "f", '{"a":2}'),
    ]


def test_a_call_whose_head_has_the_index_of_the_call_before() -> None:
    """So DeepSeek's second call has come: its head at index 0, its tail at index 1."""
    assert calls(
        piece(0, "a", "f", ""), piece(0, arguments="{}"), piece(0, "b", "g", ""), piece(1, arguments="{"),
        piece(1, arguments="}"),
    ) == [("a", "f", "{}"), ("b", "g", "{}")]  # fmt: skip


# No index


@pytest.mark.parametrize("index", [NONE, None])
def test_calls_without_an_index_are_told_apart_by_id(index: Any) -> None:
    assert calls(
        piece(index, "a", "f", "{"), piece(index, arguments="}"), piece(index, "b", "f", "{"),
        piece(index, "a", NONE, " "), piece(index, "b", NONE, "}"),
    ) == [("a", "f", "{} "), ("b", "f", "{}")]  # fmt: skip


def test_calls_without_index_and_id_are_told_apart_by_name() -> None:
    assert calls(piece(name="f", arguments="{"), piece(arguments="}"), piece(name="g", arguments="{}")) == [
        (None, "f", "{}"),
        (None, "g", "{}"),
    ]


def test_an_id_that_comes_after_the_name_belongs_to_it() -> None:
    assert calls(piece(name="f"), piece(call_id="a"), piece(arguments="{}")) == [("a", "f", "{}")]


# One call that looks like several


def test_an_id_and_a_name_that_are_repeated_are_one_call() -> None:
    pieces = [piece(0, "a", "read_file", text) for text in ("{", '"x":{', '"y":{}', "}", "}")]
    assert calls(*pieces) == [("a", "read_file", '{"x":{"y":{}}}')]


def test_a_new_id_with_every_piece_is_one_call_while_its_arguments_are_half_done() -> None:
    """vLLM has done so where the tool was named by the caller."""
    pieces = [piece(0, f"id-{n}", "f", text) for n, text in enumerate(["{", '"x":', "{}", "}"])]
    assert calls(*pieces) == [("id-0", "f", '{"x":{}}')]


def test_new_ids_without_a_name_are_one_call() -> None:
    pieces = [piece(0, f"id-{n}", arguments=text) for n, text in enumerate(["{", '"x":', "{}", "}", ""])]
    assert calls(piece(0, "a", "f", ""), *pieces) == [("a", "f", '{"x":{}}')]


def test_one_call_at_two_indexes_is_told_by_its_id() -> None:
    """So LocalAI has sent calls."""
    assert calls(piece(0, "a", "f", ""), piece(1, "a", "f", "{"), piece(1, "a", NONE, "}")) == [("a", "f", "{}")]


def test_calls_that_share_an_id_are_told_apart_by_index_and_name() -> None:
    assert calls(piece(0, "x", "f", ""), piece(1, "x", "g", ""), piece(0, "x", NONE, "{}")) == [
        ("x", "f", "{}"),
        ("x", "g", ""),
    ]


def test_a_whole_call_that_is_repeated_at_the_end_comes_once() -> None:
    assert calls(piece(0, "a", "f", ""), piece(0, arguments="{}"), piece(0, "a", "f", "{}")) == [("a", "f", "{}")]


# Names and arguments


@pytest.mark.parametrize(
    "names",
    [
        ["edit_existing_file"],
        ["edit_existing_file", None, ""],
        ["edit_existing_file", "edit_existing_file"],
        ["edit_ex", "isting_file"],
        ["edit", "edit_existing", "edit_existing_file"],
    ],
    ids=["once", "then nothing", "repeated", "in pieces, as Gemini", "growing"],
)
def test_a_name_is_whole_however_it_comes(names: list[Any]) -> None:
    pieces = [piece(0, "a" if n == 0 else NONE, name) for n, name in enumerate(names)]
    assert calls(*pieces, piece(0, arguments="{}")) == [("a", "edit_existing_file", "{}")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"city": "Malmö"}, '{"city":"Malmö"}'), ({}, "{}"), (None, None), (7, 7)],
)
def test_arguments_that_are_an_object_become_text(arguments: Any, text: Any) -> None:
    assert calls(piece(0, "a", "f", arguments)) == [("a", "f", text)]


def test_arguments_with_braces_and_escapes_in_their_texts_are_read_to_their_end() -> None:
    first, rest = '{"x":"}\\', '"{\\\\"}'
    assert calls(piece(0, "a", "f", first), piece(0, "a", "f", rest), piece(0, "b", "f", "{}")) == [
        ("a", "f", first + rest),
        ("b", "f", "{}"),
    ]


def test_the_input_of_a_custom_tool_is_joined() -> None:
    whole = message(
        {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": " -l"}}]},
    )
    assert whole["tool_calls"] == [{"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}]


def test_fields_of_a_call_that_nobody_knows_are_kept() -> None:
    """Gemini's thought signatures come so, and must be sent back with the call."""
    extra = {"google": {"thought_signature": "S"}}
    whole = message(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}, "extra_content": extra}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}", "x": 1}}]},
    )
    assert whole["tool_calls"] == [
        {
            "id": "a",
            "type": "function",
            "function": {"name": "f", "arguments": "{}", "x": 1},
            "extra_content": extra,
        }
    ]


@pytest.mark.parametrize(
    "odd", [{"index": "0"}, {"index": 0, "id": 7}, {"function": None}, {"function": "odd"}, {"id": {}, "function": []}]
)
def test_an_odd_piece_takes_nothing_from_a_call(odd: Json) -> None:
    whole = message({"tool_calls": [piece(0, "a", "f", "{}")]}, {"tool_calls": [odd]})
    assert whole["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert whole["tool_calls"][0]["id"] == "a"


def test_one_call_without_its_list_is_a_call() -> None:
    assert [call["id"] for call in message({"tool_calls": piece(0, "a", "f", "{}")})["tool_calls"]] == ["a"]


def test_an_empty_list_stays_one() -> None:
    assert message({"tool_calls": []}, {"tool_calls": None})["tool_calls"] == []
