"""Embeddings have vectors or are refused, and there is no stream of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llm import EMBEDDINGS
from llm.errors import InvalidUpstreamResponse
from llm.operations.embeddings import NoStream


def test_embeddings_are_checked_and_can_not_be_streamed() -> None:
    for data in (None, [], {}, [{}], [{"embedding": []}], [{"embedding": [0.5]}, 3]):
        with pytest.raises(InvalidUpstreamResponse):
            EMBEDDINGS.check({"data": data}, {})
    EMBEDDINGS.check({"data": [{"embedding": "AAAA"}]}, {})
    streams: tuple[Callable[[], object], ...] = (
        lambda: EMBEDDINGS.reader({}),
        EMBEDDINGS.accumulator,
        lambda: EMBEDDINGS.stream_body({}),
        lambda: EMBEDDINGS.chunks_of({}),
    )
    for stream in streams:
        with pytest.raises(NoStream):
            stream()
    assert EMBEDDINGS.answer_of_text("a", "m") is None
