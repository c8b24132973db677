"""Responses: from the events of a stream to the whole response and back, and what is read out of both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import RESPONSES
from llm.errors import ContextWindowExceeded, EmptyAnswer, UpstreamError, UpstreamRateLimited
from llm.json_values import Json
from tests.llm.operations.strategies import TEXT, assembled


def message_item(*parts: Json) -> Json:
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": list(parts)}


PART = st.builds(lambda text: {"type": "output_text", "text": text, "annotations": []}, TEXT) | st.builds(
    lambda text: {"type": "refusal", "refusal": text}, TEXT
)
ITEM = (
    st.builds(lambda parts: message_item(*parts), st.lists(PART, max_size=3))
    | st.builds(
        lambda arguments: {"id": "fc", "type": "function_call", "call_id": "c", "name": "f", "arguments": arguments},
        TEXT,
    )
    | st.just({"id": "rs", "type": "reasoning", "summary": []})
)


@given(st.lists(ITEM, max_size=4), st.sampled_from(["completed", "incomplete"]))
def test_a_response_cut_into_events_and_put_together_again_is_the_same(output: list[Json], status: str) -> None:
    answer = {"id": "resp_1", "object": "response", "status": status, "output": output, "brand_new": {"a": [1]}}
    events = RESPONSES.chunks_of(answer)
    assert assembled(RESPONSES, events) == answer
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    said = "".join(RESPONSES.text(event) for event in events)
    assert said == RESPONSES.text(answer)
    assert [event["type"] for event in events if RESPONSES.finish_reason(event)] == [f"response.{status}"]


@pytest.mark.parametrize(
    "output",
    [[], [message_item()], [message_item({"type": "output_text", "text": ""})], [{"type": "reasoning", "summary": []}]],
    ids=["nothing", "no parts", "no text", "only reasoning"],
)
def test_a_response_that_says_nothing_is_no_answer_whole_or_streamed(output: list[Json]) -> None:
    answer = {"id": "r", "object": "response", "status": "completed", "output": output}
    with pytest.raises(EmptyAnswer):
        RESPONSES.check(answer, {})
    reader = RESPONSES.reader({})
    for event in RESPONSES.chunks_of(answer):
        reader.read(event)
    assert reader.finished and not reader.begun
    RESPONSES.check({**answer, "status": "incomplete"}, {})


def test_a_response_that_calls_a_tool_says_so_wherever_the_call_stands() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    text = message_item({"type": "output_text", "text": "One moment."})
    for output, reason in (([call, text], "tool_calls"), ([text, call], "tool_calls"), ([text], "stop")):
        assert RESPONSES.finish_reason({"object": "response", "status": "completed", "output": output}) == reason
    limited = {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert RESPONSES.finish_reason(limited) == "length"
    assert RESPONSES.finish_reason({**limited, "incomplete_details": {"reason": "content_filter"}}) == "content_filter"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None}, UpstreamRateLimited),
        (
            {"type": "response.failed", "response": {"error": {"code": "context_length_exceeded"}}},
            ContextWindowExceeded,
        ),
        ({"type": "response.failed", "response": {}}, UpstreamError),
    ],
)
def test_an_event_that_says_the_response_failed_is_that_error(event: Json, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        RESPONSES.reader({}).read(event)


def test_a_response_has_begun_with_its_first_output_and_ended_with_its_last_event() -> None:
    reader = RESPONSES.reader({})
    states = []
    for event in (
        {"type": "response.created", "response": {}},
        {"type": "response.output_item.added", "item": message_item()},
        {"type": "response.output_item.done", "item": {"type": "reasoning"}},
        {"type": "response.output_text.delta", "delta": ""},
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": "response.completed", "response": {"output": []}},
    ):
        reader.read(event)
        states.append((reader.begun, reader.finished))
    assert states == [(False, False)] * 4 + [(True, False), (True, True)]
    reader = RESPONSES.reader({})
    reader.read({"type": "response.output_item.done", "item": {"type": "web_search_call"}})
    assert reader.begun
