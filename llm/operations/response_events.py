"""The events of a stream of the Responses API: what kind an event is, and a whole response as events."""

from __future__ import annotations

from llm.json_values import Json

# Events that end a stream. They carry the whole response.
ENDED = frozenset({"response.completed", "response.incomplete", "response.done"})


def kind_of(value: Json) -> str:
    """The type of an event or of an output item; empty if it has none."""
    return str(value.get("type") or "")


def is_event(answer: Json) -> bool:
    """Whether this is an event of a stream and not a whole response. Methods that read answers are given either."""
    return "type" in answer and answer.get("object") != "response"


def object_in(value: object) -> Json:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects_in(value: object) -> list[Json]:
    """The JSON objects in a list; an empty list if the value is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def events_of(response: Json) -> list[Json]:
    """The events of a stream that adds up to `response`, with each text in a single delta."""
    begun = {**response, "status": "in_progress", "output": []}
    events: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    for number, item in enumerate(objects_in(response.get("output"))):
        events += _events_of_item(item, number)
    kind = "incomplete" if response.get("status") == "incomplete" else "completed"
    events.append({"type": f"response.{kind}", "response": response})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _events_of_item(item: Json, number: int) -> list[Json]:
    at: Json = {"output_index": number, "item_id": item.get("id")}
    empty = {**item, "status": "in_progress"}
    inner: list[Json] = []
    if item.get("type") == "function_call":
        empty["arguments"] = ""
        arguments = item.get("arguments") or ""
        inner = [
            {"type": "response.function_call_arguments.delta", **at, "delta": arguments},
            {"type": "response.function_call_arguments.done", **at, "arguments": arguments, "name": item.get("name")},
        ]
    elif item.get("type") == "message":
        empty["content"] = []
        for index, part in enumerate(objects_in(item.get("content"))):
            inner += _events_of_part(part, {**at, "content_index": index})
    return [
        {"type": "response.output_item.added", "output_index": number, "item": empty},
        *inner,
        {"type": "response.output_item.done", "output_index": number, "item": item},
    ]


def _events_of_part(part: Json, at: Json) -> list[Json]:
    kind, field = ("refusal", "refusal") if part.get("type") == "refusal" else ("output_text", "text")
    text = part.get(field) or ""
    logprobs: Json = {} if kind == "refusal" else {"logprobs": []}
    return [
        {"type": "response.content_part.added", **at, "part": {**part, field: ""}},
        {"type": f"response.{kind}.delta", **at, "delta": text, **logprobs},
        {"type": f"response.{kind}.done", **at, field: text, **logprobs},
        {"type": "response.content_part.done", **at, "part": part},
    ]
