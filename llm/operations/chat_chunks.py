"""The chunks of a chat completion's stream: from chunks to the whole completion, and from a completion to chunks."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from llm.json_values import Json
from llm.operations.choices import choices_of, index_of, merge_head, usage_chunks
from llm.operations.compat import merge_delta

# Fields of a delta that come as pieces of one text.
TEXTS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})


def completion_of(chunks: Iterable[Json]) -> Json:
    """The whole completion that the chunks of a stream add up to. Does not change the chunks."""
    completion: Json = {}
    choices: dict[int, Json] = {}
    for chunk in chunks:
        merge_head(completion, chunk)
        for piece in choices_of(chunk):
            _add_piece(choices.setdefault(index_of(piece), {"message": {}}), piece)
    for choice in choices.values():
        for tool_call in choice["message"].get("tool_calls") or ():
            tool_call.pop("index", None)
        choice["message"].setdefault("content", None)
    completion["object"] = "chat.completion"
    completion["choices"] = [choices[index] for index in sorted(choices)]
    return completion


def _add_piece(choice: Json, piece: Json) -> None:
    """Add what one chunk says about a choice."""
    for name, value in piece.items():
        if name == "delta":
            _add_delta(choice["message"], value or {})
        elif name == "logprobs" and isinstance(value, dict):
            logprobs = choice.setdefault("logprobs", {}) or {}
            for kind, entries in value.items():
                if entries:
                    _extend(logprobs, kind, entries)
                else:
                    logprobs.setdefault(kind, None)
            choice["logprobs"] = logprobs
        elif value is not None or name not in choice:
            choice[name] = value


def _add_delta(message: Json, delta: Json) -> None:
    """Add a delta to a message.

    The SDK's rules don't fit all of it: they append a name that a provider repeats in every chunk, and they refuse
    lists whose entries have no index. These cases are handled here.
    """
    pieces: Json = {}
    for name, value in delta.items():
        if name == "role":
            message[name] = value or message.get(name)
        elif isinstance(value, list) and not all(isinstance(entry, dict) and "index" in entry for entry in value):
            _extend(message, name, value)
        elif name in TEXTS and isinstance(value, str) and isinstance(before := message.get(name) or "", str):
            message[name] = before + value  # nearly every delta is one of these, and the SDK takes ten times as long
        elif name == "tool_calls" and value:
            pieces[name] = [_without_repeats(piece, message.get(name) or ()) for piece in value]
        else:
            pieces[name] = value
    if pieces:
        # A copy, because `merge_delta` keeps what it is given first and changes it later.
        merge_delta(message, copy.deepcopy(pieces))


def _extend(holder: Json, name: str, entries: Iterable[Any]) -> None:
    """Append entries to a list in place. A new list for each chunk would take quadratic time in a long stream."""
    before = holder.get(name)
    if isinstance(before, list):
        before.extend(entries)
    else:
        holder[name] = [*(before or ()), *entries]


def _without_repeats(piece: Json, tool_calls: Iterable[Json]) -> Json:
    """A piece of a tool call, without the id and the name if the call has them already."""
    known = next((call for call in tool_calls if call.get("index") == piece["index"]), None)
    if known is None:
        return piece
    piece = {name: value for name, value in piece.items() if name != "id" or value != known.get("id")}
    function, before = piece.get("function"), known.get("function")
    if isinstance(function, dict) and isinstance(before, dict) and function.get("name") == before.get("name"):
        piece["function"] = {name: value for name, value in function.items() if name != "name"}
    return piece


def chunks_of(completion: Json) -> list[Json]:
    """The chunks of a stream that adds up to `completion`; the last one has its usage, if there is one."""
    head = {name: value for name, value in completion.items() if name != "usage"}
    head["object"] = "chat.completion.chunk"
    said: list[Json] = []
    ended: list[Json] = []
    for choice in choices_of(completion):
        index = {"index": index_of(choice)}
        rest = {name: value for name, value in choice.items() if name != "message"}
        said.append({**rest, "delta": _as_delta(choice.get("message") or {}), "finish_reason": None} | index)
        ended.append({**index, "delta": {}, "finish_reason": choice.get("finish_reason")})
    return [{**head, "choices": said}, {**head, "choices": ended}, *usage_chunks(completion, head)]


def _as_delta(message: Json) -> Json:
    """A message as one delta, in which every tool call has an index: later pieces of a call refer to it."""
    if not message.get("tool_calls"):
        return message
    return {**message, "tool_calls": [{**call, "index": i} for i, call in enumerate(message["tool_calls"])]}
