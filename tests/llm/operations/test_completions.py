"""Text completions: from the chunks of a stream to the whole answer, and back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llm import COMPLETIONS
from llm.json_values import Json
from tests.llm.operations.strategies import TEXT, USAGE, assembled, without_nothing


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
