"""Responses: what their last event states, and what their events amount to where it does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from llm.json_values import Json
from llm.operations.accumulation import ResponseAccumulator
from tests.llm.operations.accumulation.streams import response

CREATED = {
    "type": "response.created",
    "response": {"id": "r", "object": "response", "status": "in_progress", "output": []},
}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
AT = {"output_index": 0, "item_id": "m", "content_index": 0}


def added(item: Json, index: Any = 0) -> Json:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: Json, index: Any = 0) -> Json:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def said(text: str, **more: Any) -> Json:
    return {"type": "response.output_text.delta", **AT, "delta": text, "logprobs": [], **more}


def part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def output(*events: Any) -> list[Json]:
    items: list[Json] = response(CREATED, *events)["output"]
    return items


# The last event


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
def test_the_last_event_states_the_answer(end: str) -> None:
    stated = {"id": "r", "object": "response", "status": end, "output": [{"type": "message"}], "usage": {"x": 1}}
    events = [CREATED, added(MESSAGE), said("a"), {"type": f"response.{end}", "response": stated}]
    assert response(*events) == stated


@pytest.mark.parametrize("empty", [{"output": []}, {"output": None}, {}])
def test_where_the_last_event_leaves_the_output_empty_it_is_what_was_streamed(empty: Json) -> None:
    """So vLLM and others have ended their streams."""
    whole = response(
        CREATED, added(MESSAGE), said("Hel"), said("lo"),
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "usage": {"x": 1}, **empty}},
    )  # fmt: skip
    assert (whole["status"], whole["usage"]) == ("completed", {"x": 1})
    content = [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]
    assert whole["output"] == [{**MESSAGE, "status": "completed", "content": content}]


def test_a_last_event_without_a_response_ends_what_was_streamed() -> None:
    whole = response(CREATED, added(MESSAGE), said("a"), {"type": "response.incomplete"})
    assert (whole["status"], whole["output"][0]["status"]) == ("incomplete", "incomplete")


def test_an_error_in_a_stream_is_a_failure() -> None:
    whole = response(CREATED, added(MESSAGE), said("a"), {"type": "error", "code": "server_error", "message": "Oh."})
    assert (whole["status"], whole["error"]) == ("failed", {"code": "server_error", "message": "Oh."})
    assert whole["output"][0]["content"][0]["text"] == "a"


def test_a_whole_response_alone_is_itself() -> None:
    whole = {"id": "r", "object": "response", "status": "completed", "output": [MESSAGE]}
    assert response(whole) == whole


# A stream that was cut


def test_without_a_last_event_there_is_what_came_so_far() -> None:
    accumulator = ResponseAccumulator()
    accumulator.add(CREATED)
    accumulator.add(added(MESSAGE))
    accumulator.add({"type": "response.content_part.added", **AT, "part": part("")})
    accumulator.add(said("Hel"))
    so_far = accumulator.answer()
    before = copy.deepcopy(so_far)
    accumulator.add(said("lo"))
    assert so_far == before
    assert accumulator.answer() == {
        "id": "r",
        "object": "response",
        "status": "in_progress",
        "output": [{**MESSAGE, "content": [part("Hello")]}],
    }


def test_without_events_there_is_a_response_without_output() -> None:
    assert response() == {"object": "response", "status": "in_progress", "output": []}


@pytest.mark.parametrize(
    ("subject", "kind", "field"),
    [
        ("function_call_arguments", "function_call", "arguments"),
        ("mcp_call_arguments", "mcp_call", "arguments"),
        ("custom_tool_call_input", "custom_tool_call", "input"),
        ("code_interpreter_call_code", "code_interpreter_call", "code"),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
def test_the_text_of_an_item_is_joined(subject: str, kind: str, field: str, is_announced: bool) -> None:
    at = {"output_index": 0, "item_id": "i"}
    item = {"id": "i", "type": kind, "status": "in_progress", field: ""}
    deltas = [{"type": f"response.{subject}.delta", **at, "delta": text} for text in ("a\ud83d", "\ude00b")]
    assert output(*[added(item)][: int(is_announced)], *deltas) == [{**item, field: "a😀b"}]
    end = {"type": f"response.{subject}.done", **at, field: "whole"}
    assert output(added(item), *deltas, end)[0][field] == "whole"
    assert output(added(item), *deltas, {**end, field: ""})[0][field] == "a😀b"


@pytest.mark.parametrize(
    ("subject", "place", "field", "whole"),
    [
        ("refusal", "content", "refusal", {"type": "refusal", "refusal": "ab"}),
        ("reasoning_text", "content", "text", {"type": "reasoning_text", "text": "ab"}),
        ("reasoning_summary_text", "summary", "text", {"type": "summary_text", "text": "ab"}),
    ],
)
def test_the_text_of_a_part_is_joined(subject: str, place: str, field: str, whole: Json) -> None:
    at = {"output_index": 0, "item_id": "i", f"{place}_index": 0}
    deltas = [{"type": f"response.{subject}.delta", **at, "delta": text} for text in ("a", "b")]
    assert output(*deltas)[0][place] == [whole]
    end = {"type": f"response.{subject}.done", **at, field: "whole"}
    assert output(*deltas, end)[0][place] == [{**whole, field: "whole"}]


def test_parts_are_apart() -> None:
    at = {"output_index": 0, "item_id": "i"}
    delta, begun = "response.reasoning_summary_text.delta", "response.reasoning_summary_part.added"
    summary = {"type": "summary_text", "text": ""}
    (item,) = output(
        {"type": begun, **at, "summary_index": 0, "part": summary},
        {"type": delta, **at, "summary_index": 0, "delta": "a"},
        {"type": begun, **at, "summary_index": 1, "part": summary},
        {"type": delta, **at, "summary_index": 1, "delta": "b"},
        {"type": "response.reasoning_summary_part.done", **at, "summary_index": 1, "part": {**summary, "text": "B"}},
    )
    assert (item["type"], [each["text"] for each in item["summary"]]) == ("reasoning", ["a", "B"])


def test_annotations_and_log_probabilities_are_put_in_a_row() -> None:
    annotation = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 1}
    event = {"type": "response.output_text.annotation.added", **AT, "annotation": annotation}
    (item,) = output(
        added(MESSAGE),
        said("a", logprobs=[{"token": "a"}]),
        {**event, "annotation_index": 0},
        said("b", logprobs=[{"token": "b"}]),
        {**event, "annotation_index": 1},
        {"type": "response.output_text.done", **AT, "text": "ab", "logprobs": []},
    )
    assert item["content"] == [
        {
            "type": "output_text",
            "text": "ab",
            "annotations": [annotation, annotation],
            "logprobs": [{"token": "a"}, {"token": "b"}],
        }
    ]


@pytest.mark.parametrize(
    ("subject", "statuses"),
    [
        ("web_search_call", ["in_progress", "searching", "completed"]),
        ("file_search_call", ["in_progress", "searching", "completed"]),
        ("code_interpreter_call", ["in_progress", "interpreting", "completed"]),
        ("image_generation_call", ["in_progress", "generating", "completed"]),
        ("mcp_call", ["in_progress", "failed"]),
    ],
)
def test_the_status_of_a_tool_that_the_upstream_runs_is_the_last_one(subject: str, statuses: list[str]) -> None:
    at = {"output_index": 0, "item_id": "i"}
    events = [{"type": f"response.{subject}.{status}", **at} for status in statuses]
    item = {"id": "i", "type": subject, "status": "in_progress"}
    assert output(added(item), *events) == [{**item, "status": statuses[-1]}]
    assert output(added(item), done({**item, "status": "completed"}), events[0])[0]["status"] == "completed"


def test_the_tools_that_a_server_lists_have_no_status() -> None:
    item = {"id": "i", "type": "mcp_list_tools", "server_label": "s", "tools": []}
    ended = {"type": "response.mcp_list_tools.completed", "output_index": 0, "item_id": "i"}
    assert output(added(item), ended, done({**item, "tools": [{"name": "t"}]})) == [{**item, "tools": [{"name": "t"}]}]


def test_partial_images_are_left_out() -> None:
    item = {"id": "i", "type": "image_generation_call", "status": "generating", "result": None}
    at = {"output_index": 0, "item_id": "i", "partial_image_index": 0, "partial_image_b64": "AAAA"}
    assert output(added(item), {"type": "response.image_generation_call.partial_image", **at}) == [item]


def test_the_commands_of_a_shell_and_what_they_wrote_are_joined() -> None:
    call = {"id": "s", "type": "shell_call", "status": "in_progress", "action": {"commands": [], "timeout_ms": 1}}
    wrote = {"type": "response.shell_call_output_content.delta", "output_index": 1, "item_id": "o"}
    command = {"type": "response.shell_call_command.delta", "output_index": 0, "command_index": 0}
    items = output(
        added(call),
        {**command, "type": "response.shell_call_command.added", "command": ""},
        {**command, "delta": "ls"},
        {**command, "delta": " -l"},
        added({"id": "o", "type": "shell_call_output", "output": []}, 1),
        {**wrote, "command_index": 0, "delta": {"stdout": "a"}},
        {**wrote, "command_index": 0, "delta": {"stdout": "b", "stderr": "c"}},
    )
    assert items[0]["action"] == {"commands": ["ls -l"], "timeout_ms": 1}
    assert items[1]["output"] == [{"stdout": "ab", "stderr": "c"}]


def test_audio_is_joined() -> None:
    events = [
        {"type": "response.audio.delta", "delta": "AA"},
        {"type": "response.audio.transcript.delta", "delta": "Hel"},
        {"type": "response.audio.delta", "delta": "AA"},
        {"type": "response.audio.transcript.delta", "delta": "lo"},
    ]
    assert response(CREATED, *events)["audio"] == {"data": "AAAA", "transcript": "Hello"}


# Which item an event is about


def test_items_come_in_their_order() -> None:
    one, two = ({"id": name, "type": "function_call", "arguments": ""} for name in ("a", "b"))
    assert [item["id"] for item in output(added(two, 1), added(one, 0))] == ["a", "b"]


def test_items_at_one_place_are_told_apart_by_id() -> None:
    one, two = ({"id": name, "type": "function_call", "arguments": ""} for name in ("a", "b"))
    delta = {"type": "response.function_call_arguments.delta", "output_index": 0}
    items = output(
        added(one), {**delta, "item_id": "a", "delta": "A"}, added(two), {**delta, "item_id": "b", "delta": "B"}
    )
    assert [(item["id"], item["arguments"]) for item in items] == [("a", "A"), ("b", "B")]


@pytest.mark.parametrize("item_id", ["", "another", None])
def test_deltas_with_no_id_or_another_one_belong_to_the_item_at_their_place(item_id: str | None) -> None:
    """vLLM has given one item a new id with each event."""
    (item,) = output(added(MESSAGE), said("a", item_id=item_id), done({**MESSAGE, "id": "third"}))
    assert item["content"][0]["text"] == "a"


def test_an_item_at_the_place_of_another_type_is_another() -> None:
    thought = {"type": "response.reasoning_text.delta", "output_index": 0, "item_id": "", "content_index": 0}
    items = output({**thought, "delta": "hm"}, said("a", item_id=""))
    assert [(item["type"], item["content"][0]["text"]) for item in items] == [("reasoning", "hm"), ("message", "a")]


def test_a_last_event_of_an_item_that_leaves_it_empty_takes_nothing_away() -> None:
    (item,) = output(added(MESSAGE), said("a"), done({**MESSAGE, "status": "completed", "content": []}))
    assert (item["status"], item["content"][0]["text"]) == ("completed", "a")


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "odd",
        [],
        {},
        {"type": 7},
        {"type": "response.completed.extra"},
        {"type": "ping"},
        {"type": "response.created", "response": None},
        {"type": "response.output_item.added", "item": None},
        {"type": "response.output_item.added", "output_index": None, "item": {}},
        {"type": "response.content_part.added", "part": "odd"},
        {"type": "response.output_text.delta", **AT, "delta": None, "logprobs": "odd"},
        {"type": "response.output_text.delta", **AT, "delta": 7},
        {"type": "response.output_text.done", **AT, "text": None},
        {"type": "response.output_text.annotation.added", **AT, "annotation": None},
        {"type": "response.function_call_arguments.delta", "delta": {}},
        {"type": "response.something_new.delta", "output_index": 0, "delta": "x"},
    ],
)
def test_an_odd_event_takes_nothing_from_the_answer(odd: Any) -> None:
    items = output(added(MESSAGE), said("Hel"), odd, said("lo"))
    assert [item["content"][0]["text"] for item in items if item.get("id") == "m"] == ["Hello"]


def test_the_events_stay_as_they_are() -> None:
    events = [CREATED, added(MESSAGE), said("a"), done({**MESSAGE, "content": [part("a")]}), said("b")]
    before = copy.deepcopy(events)
    response(*events)
    assert events == before
