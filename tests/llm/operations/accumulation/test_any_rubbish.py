"""No chunk, however odd, stops the accumulators: a stream that was paid for is not thrown away for its shape."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.operations.accumulation import Accumulator, ChatAccumulator, CompletionAccumulator, ResponseAccumulator

NAME_LIST = """choices usage id index delta message text logprobs finish_reason content role tool_calls function custom
    name arguments input function_call audio data transcript reasoning_details thinking_blocks thinking signature type
    annotations images tokens total_tokens prompt_tokens completion_tokens response item part output output_index
    item_id content_index summary_index summary command_index action commands annotation annotation_index object x"""
EVENT_LIST = """response.created response.completed response.output_item.added response.output_item.done error
    response.content_part.added response.output_text.delta response.output_text.done response.refusal.delta
    response.output_text.annotation.added response.function_call_arguments.delta response.shell_call_command.delta
    response.shell_call_output_content.delta response.shell_call_output_content.done response.mcp_call.failed
    response.reasoning_summary_text.delta response.audio.delta text thinking"""
NAMES = st.sampled_from(NAME_LIST.split())
EVENTS = st.sampled_from(EVENT_LIST.split())
SCALARS = st.none() | st.booleans() | st.integers(-1, 2) | st.floats() | st.sampled_from(["", "a", "{", "}", "="])
RUBBISH = st.recursive(
    SCALARS | EVENTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
PIECES = st.dictionaries(NAMES, RUBBISH, max_size=5)
CHUNKS = st.one_of(
    RUBBISH,
    st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"delta": PIECES}) | PIECES, max_size=2)}),
    st.builds(lambda kind, fields: {**fields, "type": kind}, EVENTS, PIECES),
    st.builds(lambda kind, item: {"type": kind, "item": item, "part": item, "response": item}, EVENTS, PIECES),
)


@pytest.mark.parametrize("kind", [ChatAccumulator, CompletionAccumulator, ResponseAccumulator])
@settings(deadline=None)
@given(chunks=st.lists(CHUNKS, max_size=6))
def test_no_chunk_stops_an_accumulator_or_is_changed_by_it(kind: type[Accumulator], chunks: list[Any]) -> None:
    before = copy.deepcopy(chunks)
    accumulator = kind()
    for chunk in chunks:
        accumulator.add(chunk)
        accumulator.answer()
    json.dumps(accumulator.answer())
    assert repr(chunks) == repr(before)
