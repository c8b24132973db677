"""A whole chat completion as the chunks of a stream. The way back is the accumulator's."""

from __future__ import annotations

from typing import Any

from llm.json_values import Json
from llm.operations.chat.messages import message_in
from llm.operations.choices import choices_of, numbered, usage_chunks


def chunks_of(completion: Json) -> list[Json]:
    """The chunks of a stream that adds up to `completion`; the last one has its usage, if there is one."""
    head = {name: value for name, value in completion.items() if name != "usage"}
    head["object"] = "chat.completion.chunk"
    said: list[Json] = []
    ended: list[Json] = []
    for index, choice in numbered(choices_of(completion)):
        rest = {name: value for name, value in choice.items() if name not in ("message", "delta", "text")}
        delta = _as_delta(message_in(choice))
        said.append({**rest, "index": index, "delta": delta, "finish_reason": None})
        ended.append({"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")})
    return [{**head, "choices": said}, {**head, "choices": ended}, *usage_chunks(completion, head)]


def _as_delta(message: Json) -> Json:
    """A message as one delta, in which every tool call has an index: later pieces of a call refer to it."""
    calls: Any = message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return message
    return {**message, "tool_calls": [_numbered(call, place) for place, call in enumerate(calls)]}


def _numbered(call: Any, place: int) -> Any:
    return {**call, "index": place} if isinstance(call, dict) else call
