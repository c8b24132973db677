"""Any split of any response into events gives its output back, with a last event, with an empty one, and without."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llm.json_values import Json
from llm.operations import RESPONSES
from tests.llm.operations.accumulation.answers import (
    ENTRIES,
    OBJECTS,
    SCALARS,
    TEXTS,
    WORDS,
    cut,
    cut_list,
    maybe,
    merged,
)
from tests.llm.operations.accumulation.streams import response

ANNOTATIONS = st.lists(OBJECTS, max_size=2)
PARTS = st.one_of(
    st.builds(
        lambda text, annotations, logprobs: {
            "type": "output_text",
            "text": text,
            "annotations": annotations,
            "logprobs": logprobs,
        },
        TEXTS,
        ANNOTATIONS,
        ENTRIES,
    ),
    TEXTS.map(lambda text: {"type": "refusal", "refusal": text}),
)
REASONING_PARTS = TEXTS.map(lambda text: {"type": "reasoning_text", "text": text})
SUMMARIES = TEXTS.map(lambda text: {"type": "summary_text", "text": text})


def items(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.builds(
        lambda made, more: {"type": kind, "status": "completed", **made, **more},
        st.fixed_dictionaries(fields),
        maybe(x=SCALARS),
    )


ITEMS = st.one_of(
    items("message", role=st.just("assistant"), content=st.lists(PARTS, max_size=3)),
    items("reasoning", summary=st.lists(SUMMARIES, max_size=2), content=st.lists(REASONING_PARTS, max_size=2)),
    items("function_call", call_id=WORDS, name=WORDS, arguments=TEXTS),
    items("mcp_call", server_label=WORDS, name=WORDS, arguments=TEXTS, output=st.none() | TEXTS),
    items("custom_tool_call", call_id=WORDS, name=WORDS, input=TEXTS),
    items("code_interpreter_call", container_id=WORDS, code=TEXTS, outputs=st.none()),
    items("web_search_call", action=OBJECTS),
    items("image_generation_call", result=WORDS),
)
ANSWERS = st.builds(
    lambda output, status, rest: {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "output": [{**item, "id": f"item_{n}"} for n, item in enumerate(output)],
        **rest,
    },
    st.lists(ITEMS, max_size=4),
    st.sampled_from(["completed", "incomplete"]),
    maybe(model=WORDS, usage=OBJECTS, x=SCALARS, incomplete_details=st.none()),
)
RANDOMS = st.randoms(use_true_random=False)

TEXT_EVENTS = {
    "function_call": ("function_call_arguments", "arguments"),
    "mcp_call": ("mcp_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
    "code_interpreter_call": ("code_interpreter_call_code", "code"),
}


def events_of(answer: Json, random: Random, *, is_repeated: bool) -> list[Json]:
    """All events but the last. `is_repeated`: texts, parts and items are stated whole when they are done."""
    begun = {**answer, "status": "in_progress", "output": []}
    opening: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    queues = [_events_of_item(item, n, random, is_repeated) for n, item in enumerate(answer["output"])]
    return [*opening, *merged(queues, random)]


def _events_of_item(item: Json, index: int, random: Random, is_repeated: bool) -> list[Json]:
    at = {"output_index": index, "item_id": item["id"]}
    empty: Json = {**item, "status": "in_progress"}
    queues: list[list[Json]] = []
    if item["type"] in TEXT_EVENTS:
        subject, field = TEXT_EVENTS[item["type"]]
        empty[field] = ""
        deltas = [{"type": f"response.{subject}.delta", **at, "delta": piece} for piece in cut(item[field], random)]
        stated = {"type": f"response.{subject}.done", **at, field: item[field]}
        queues.append([*deltas, *[stated][: int(is_repeated)]])
    for name in ("content", "summary"):
        if name in item:
            empty[name] = []
            places = [{**at, f"{name}_index": n} for n in range(len(item[name]))]
            parts = zip(item[name], places, strict=True)
            queues += [_events_of_part(part, place, random, is_repeated) for part, place in parts]
    if item["type"] in ("web_search_call", "image_generation_call"):
        queues.append([{"type": f"response.{item['type']}.{status}", **at} for status in ("in_progress", "completed")])
    added = {"type": "response.output_item.added", "output_index": index, "item": empty}
    done = {"type": "response.output_item.done", "output_index": index, "item": item}
    return [added, *merged(queues, random), *[done][: int(is_repeated)]]


def _events_of_part(part: Json, at: Json, random: Random, is_repeated: bool) -> list[Json]:
    field = "refusal" if part["type"] == "refusal" else "text"
    is_summary = part["type"] == "summary_text"
    subject = "reasoning_summary_text" if is_summary else part["type"]
    frame = "reasoning_summary_part" if is_summary else "content_part"
    deltas = [{"type": f"response.{subject}.delta", **at, "delta": piece} for piece in cut(part[field], random)]
    empty = {**part, field: ""}
    annotated: list[Json] = []
    if subject == "output_text":
        empty |= {"annotations": [], "logprobs": []}
        deltas = [{**delta, "logprobs": []} for delta in deltas]
        deltas += [{**deltas[0], "delta": "", "logprobs": piece} for piece in cut_list(part["logprobs"], random)]
        annotated = [
            {"type": "response.output_text.annotation.added", **at, "annotation_index": n, "annotation": annotation}
            for n, annotation in enumerate(part["annotations"])
        ]
    stated = [
        {"type": f"response.{subject}.done", **at, field: part[field]},
        {"type": f"response.{frame}.done", **at, "part": part},
    ]
    begun = {"type": f"response.{frame}.added", **at, "part": empty}
    return [begun, *merged([deltas, annotated], random), *(stated if is_repeated else [])]


def without_status(output: list[Json]) -> list[Json]:
    return [{name: value for name, value in item.items() if name != "status"} for item in output]


def end_of(answer: Json, **changed: Any) -> Json:
    return {"type": f"response.{answer['status']}", "response": {**answer, **changed}}


@settings(deadline=None)
@given(ANSWERS, RANDOMS, st.booleans())
def test_any_events_with_their_last_one_give_the_response_back(answer: Json, random: Random, is_repeated: bool) -> None:
    events = [*events_of(answer, random, is_repeated=is_repeated), end_of(answer)]
    before = copy.deepcopy(events)
    assert response(*events) == answer
    assert events == before


@settings(deadline=None)
@given(ANSWERS, RANDOMS)
def test_a_last_event_without_output_gives_the_response_back(answer: Json, random: Random) -> None:
    assert response(*events_of(answer, random, is_repeated=True), end_of(answer, output=[])) == answer


@settings(deadline=None)
@given(ANSWERS, RANDOMS)
def test_without_any_last_events_the_output_is_there_and_only_its_status_is_open(answer: Json, random: Random) -> None:
    whole = response(*events_of(answer, random, is_repeated=False))
    assert without_status(whole["output"]) == without_status(answer["output"])
    assert {**whole, "output": []} == {**answer, "output": [], "status": "in_progress"}


@settings(deadline=None)
@given(ANSWERS, st.integers(0, 60))
def test_the_events_that_the_service_makes_of_a_response_give_it_back(answer: Json, length: int) -> None:
    events = RESPONSES.chunks_of(answer)
    assert response(*events) == answer
    assert response(*events[:-1])["output"] == answer["output"]
    response(*events[:length])
