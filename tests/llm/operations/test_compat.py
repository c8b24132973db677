"""The private function of OpenAI's SDK still merges deltas as this package expects."""

from __future__ import annotations

import pytest

from llm.json_values import Json
from llm.operations.compat import merge_delta


def merged(*deltas: Json) -> Json:
    message: Json = {}
    for delta in deltas:
        merge_delta(message, delta)
    return message


def test_pieces_that_do_not_fit_together_raise_what_the_caller_catches() -> None:
    for odd in ([3], [{"no": "index"}], [{"index": "one"}]):
        with pytest.raises((TypeError, RuntimeError)):
            merged({"tool_calls": [{"index": 0, "id": "a"}]}, {"tool_calls": odd})


def test_texts_are_joined_inside_objects_too() -> None:
    assert merged({"audio": {"transcript": "Hel"}}, {"audio": {"transcript": "lo"}}) == {
        "audio": {"transcript": "Hello"}
    }


def test_entries_of_a_list_are_joined_by_their_index() -> None:
    calls = merged(
        {"tool_calls": [{"index": 0, "type": "function", "function": {"arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "type": "function", "function": {"arguments": "[]"}}]},
        {"tool_calls": [{"index": 0, "type": "function", "function": {"arguments": "}"}}]},
    )["tool_calls"]
    assert calls == [
        {"index": 0, "type": "function", "function": {"arguments": "{}"}},
        {"index": 1, "type": "function", "function": {"arguments": "[]"}},
    ]


def test_a_null_gives_way_to_what_comes_later() -> None:
    assert merged({"function_call": None}, {"function_call": {"name": "f"}}) == {"function_call": {"name": "f"}}
