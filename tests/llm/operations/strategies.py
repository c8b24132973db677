"""What the tests of several operations need: answers made up by hypothesis, and the way from chunks to an answer."""

from __future__ import annotations

import copy

from hypothesis import strategies as st

from llm import Operation
from llm.json_values import Json

TEXT = st.text(max_size=20)
USAGE = st.none() | st.just({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "new_details": {"a": 1}})


def assembled(operation: Operation, chunks: list[Json]) -> Json:
    """The answer that the chunks add up to. Fails if assembling it changed them."""
    before = copy.deepcopy(chunks)
    accumulator = operation.accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    answer = accumulator.answer()
    assert chunks == before, "a chunk may still wait to be sent when the answer is put together"
    return answer


def without_nothing(answer: Json) -> Json:
    return {name: value for name, value in answer.items() if value is not None}
