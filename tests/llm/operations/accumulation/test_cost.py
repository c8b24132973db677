"""What it costs to put a long stream together: in proportion to its length.

Work is counted as calls of functions, which are as many on a busy machine as on an idle one.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from llm.json_values import Json
from llm.operations.accumulation import Accumulator, ChatAccumulator, CompletionAccumulator, ResponseAccumulator


def chat_chunk(delta: Json, **more: Any) -> Json:
    return {"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, **more}]}


def with_logprobs(n: int) -> Json:
    top = [{"token": "a", "logprob": -0.1, "bytes": [97]} for _ in range(5)]
    return chat_chunk({"content": "a"}, logprobs={"content": [{"token": "a", "top_logprobs": top}], "refusal": None})


def with_repeated_call(n: int) -> Json:
    function = {"name": "f", "arguments": '{"a":' if n == 0 else '{"}":{}},' if n % 2 else '{"b":'}
    return chat_chunk({"tool_calls": [{"index": 0, "id": f"id-{n}", "function": function}]})


def with_thoughts(n: int) -> Json:
    return chat_chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]})


def with_data(n: int) -> Json:
    return chat_chunk({"reasoning_details": [{"type": "reasoning.encrypted", "index": 0, "data": "AAAA"}]})


def with_message(n: int) -> Json:
    return {"choices": [{"index": 0, "message": {"content": "abc"[n % 3]}}]}


def with_text(n: int) -> Json:
    return {"choices": [{"index": 0, "text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-0.1]}}]}


def with_event(n: int) -> Json:
    at = {"output_index": 0, "item_id": "m", "content_index": 0}
    return {"type": "response.output_text.delta", **at, "delta": "a", "logprobs": [{"token": "a"}]}


STREAMS: list[tuple[type[Accumulator], Callable[[int], Json]]] = [
    (ChatAccumulator, with_logprobs),
    (ChatAccumulator, with_repeated_call),
    (ChatAccumulator, with_thoughts),
    (ChatAccumulator, with_data),
    (ChatAccumulator, with_message),
    (CompletionAccumulator, with_text),
    (ResponseAccumulator, with_event),
]


def calls_for(kind: type[Accumulator], make: Callable[[int], Json], length: int) -> int:
    chunks = [make(n) for n in range(length)]
    accumulator, count = kind(), 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for chunk in chunks:
            accumulator.add(chunk)
        accumulator.answer()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(("kind", "make"), STREAMS, ids=[make.__name__ for _, make in STREAMS])
def test_a_chunk_costs_the_same_in_a_long_stream(kind: type[Accumulator], make: Callable[[int], Json]) -> None:
    short, long = calls_for(kind, make, 200), calls_for(kind, make, 2000)
    assert long < 10.5 * short


def test_sixteen_thousand_chunks_with_log_probabilities_take_little_memory_of_their_own() -> None:
    chunks = [with_logprobs(n) for n in range(16_000)]
    tracemalloc.start()
    accumulator = ChatAccumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    answer = accumulator.answer()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (choice,) = answer["choices"]
    assert (len(choice["message"]["content"]), len(choice["logprobs"]["content"])) == (16_000, 16_000)
    # The entries are those of the chunks; only the rows and the text are new.
    assert peak < 1_000_000


def test_a_huge_text_in_tiny_pieces_is_joined_once() -> None:
    piece = chat_chunk({"content": "ä"})
    accumulator = ChatAccumulator()
    for _ in range(200_000):
        accumulator.add(piece)
    assert accumulator.answer()["choices"][0]["message"]["content"] == "ä" * 200_000
