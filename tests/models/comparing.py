"""Are two answers the same, but for what no two answers share: ids, points in time and durations?"""

from __future__ import annotations

import json
from typing import Any

import httpx2

from tests.models.questions import Json

IDS = frozenset({"id", "item_id", "call_id"})
TIMES = frozenset({"created", "created_at", "completed_at"})


def events_of(stream: httpx2.Response) -> list[Any]:
    """The data of each event but `[DONE]`."""
    data = [line.removeprefix("data: ") for line in stream.text.split("\n") if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


def comparable(value: Any) -> Any:
    """The value with every id, point in time and duration replaced by its kind, so that its presence still counts."""
    match value:
        case dict():
            return {name: _kind(name, inner) or comparable(inner) for name, inner in value.items()}
        case list():
            return [comparable(inner) for inner in value]
    return value


def _kind(name: str, value: Any) -> str | None:
    # The `id` of a logprob is the number of its token, and is the same each time.
    if name in IDS and isinstance(value, str):
        return "an id"
    if name in TIMES and isinstance(value, int):
        return "a time"
    if name.endswith(("_ms", "_per_second")) and isinstance(value, int | float):
        return "a duration"
    return None


def comparable_stream(response: httpx2.Response) -> list[Json]:
    """Every event of a stream, in its order. Events of several choices are put in order by their choice.

    The choices are made side by side, and which of them is first to get its next token is chance. The `data: null` with
    which the server begins a stream for several prompts is no event.
    """
    events = [comparable(chunk) for chunk in events_of(response) if chunk is not None]
    return sorted(events, key=lambda event: [choice["index"] for choice in event.get("choices") or ()] or [-1])


def is_done(response: httpx2.Response) -> bool:
    return response.text.endswith("data: [DONE]\n\n")


def said(answer: Json) -> list[Json]:
    """What a whole answer says, choice by choice. An empty field and a missing one are the same."""
    choices = []
    for choice in comparable(answer)["choices"]:
        message = {name: value for name, value in choice["message"].items() if value not in (None, "", [])}
        fields = {name: value for name, value in choice.items() if name != "message" and value is not None}
        choices.append({**fields, "message": message})
    return choices


def said_by(stream: httpx2.Response) -> list[Json]:
    """What the chunks of a stream say together, choice by choice, as `said` has it."""
    choices: dict[int, Json] = {}
    for chunk in events_of(stream):
        for piece in chunk["choices"]:
            choice = choices.setdefault(piece["index"], {"index": piece["index"], "message": {}})
            choice["finish_reason"] = piece["finish_reason"] or choice.get("finish_reason")
            if piece.get("logprobs"):
                tokens = choice.setdefault("logprobs", {"content": []})["content"]
                tokens += piece["logprobs"]["content"]
            for name, value in piece["delta"].items():
                if name == "tool_calls":
                    _add_calls(choice["message"].setdefault(name, []), value)
                elif name == "role":
                    choice["message"][name] = value
                elif value:
                    choice["message"][name] = choice["message"].get(name, "") + value
    return said({"choices": [choices[index] for index in sorted(choices)]})


def _add_calls(calls: list[Json], pieces: list[Json]) -> None:
    for piece in pieces:
        if piece["index"] == len(calls):
            calls.append({"type": piece["type"], "id": piece["id"], "function": {**piece["function"]}})
        else:
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
