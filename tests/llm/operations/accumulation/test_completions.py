"""Text completions: their text, and their parallel lists of log probabilities."""

from __future__ import annotations

from typing import Any

import pytest

from llm.json_values import Json
from tests.llm.operations.accumulation.streams import completion


def chunk(text: Any, index: int = 0, **more: Any) -> Json:
    return {"id": "c", "object": "text_completion", "choices": [{"index": index, "text": text, **more}]}


def test_text_and_its_lists_are_put_together() -> None:
    first = {"tokens": ["a"], "token_logprobs": [None], "top_logprobs": None, "text_offset": [0]}
    second = {"tokens": ["a"], "token_logprobs": [-0.1], "top_logprobs": [{"a": -0.1}], "text_offset": [1]}
    whole = completion(
        chunk("a", logprobs=first, finish_reason=None),
        chunk("a", logprobs=second, finish_reason=None),
        chunk("", logprobs=None, finish_reason="stop"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    )
    assert whole == {
        "id": "c",
        "object": "text_completion",
        "choices": [
            {
                "index": 0,
                "text": "aa",
                "logprobs": {
                    "tokens": ["a", "a"],
                    "token_logprobs": [None, -0.1],
                    "top_logprobs": [{"a": -0.1}],
                    "text_offset": [0, 1],
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }


def test_choices_are_apart() -> None:
    whole = completion(chunk("b", 1), chunk("a", 0), chunk("B", 1, finish_reason="length"))
    assert [(c["index"], c["text"], c["finish_reason"]) for c in whole["choices"]] == [
        (0, "a", None),
        (1, "bB", "length"),
    ]


def test_a_choice_that_says_nothing_has_an_empty_text_and_no_log_probabilities() -> None:
    whole = completion(chunk(None, finish_reason="stop"))
    assert whole["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]


@pytest.mark.parametrize("odd", [None, 7, {"choices": 7}, {"choices": [7, {"text": 7, "logprobs": 7, "delta": 7}]}])
def test_an_odd_chunk_takes_nothing_from_the_answer(odd: Any) -> None:
    assert completion(chunk("a\ud83d"), odd, chunk("\ude00"))["choices"][0]["text"] == "a😀"


def test_pieces_in_the_shape_of_chat_are_text() -> None:
    pieces = [{"choices": [{"delta": {"content": text}}]} for text in ("Hel", "lo")]
    end = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    assert completion(*pieces, end)["choices"][0]["text"] == "Hello"
