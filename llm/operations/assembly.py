"""Reading the chat-completions protocol: what is in a chunk, what is in a completion, and one from the other."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from llm.costs.usage import Usage
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json

OUTPUT_FIELDS = ("content", "refusal", "tool_calls", "function_call", "audio", "reasoning_content", "reasoning")
"""What a model says, in a delta or in a message. A delta with none of them is a preamble and wins no race."""

TEXTS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
"""Those of them that come as pieces of one text."""

ENDS_EMPTY = frozenset({"length", "content_filter"})
"""Finish reasons that explain an empty answer: the caller's own limit, or the provider's filter. The model is well."""

MAX_TOKENS = 2**31 - 1
"""More than any model takes; an upstream that claims more is not believed."""

Accumulate = Callable[[dict[object, object], dict[object, object]], dict[object, object]]


def choices_of(answer: Mapping[str, Any]) -> list[Json]:
    """The choices of a completion or chunk; an empty list where there are none."""
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def says_something(part: object) -> bool:
    """Does a delta or message hold any output of the model?"""
    if not isinstance(part, dict):
        return False
    # Nearly every delta is a piece of content.
    return bool(part.get("content")) or any(part.get(name) for name in OUTPUT_FIELDS)


def index_of(choice: Mapping[str, Any]) -> int:
    """Which of several choices it is; the first where it does not say."""
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def finish_reason_of(choice: Mapping[str, Any]) -> str:
    return str(choice.get("finish_reason") or "")


def finish_reasons(answer: Mapping[str, Any]) -> list[str]:
    return [reason for choice in choices_of(answer) if (reason := finish_reason_of(choice))]


def first_text(answer: Mapping[str, Any]) -> str:
    """The text of the first choice of a completion or chunk: its content, or else its refusal."""
    for choice in choices_of(answer):
        part = choice.get("delta") or choice.get("message")
        if index_of(choice) == 0 and isinstance(part, dict):
            content = part.get("content")
            if isinstance(content, list):
                return "".join(str(piece.get("text", "")) for piece in content if isinstance(piece, dict))
            return str(content or part.get("refusal") or "")
    return ""


def output_texts(value: object) -> Iterator[str]:
    """Every piece of text that a model produced in a delta or message, tool arguments and all."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("role", "id", "type", "data"):
                yield from output_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from output_texts(inner)


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The provider's own count, or None where it gave none that can be read."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None

    prompt_tokens, completion_tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt_tokens is None and completion_tokens is None:
        return None
    return Usage(
        prompt_tokens=prompt_tokens or 0,
        completion_tokens=completion_tokens or 0,
        cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens") or 0,
        reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens") or 0,
    )


def _count(holder: object, name: str) -> int | None:
    """A number of tokens, or None where there is none that can be read."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    return min(value, MAX_TOKENS)


def check_completion(answer: Json) -> None:
    """Raise InvalidUpstreamResponse unless a whole answer holds an answer."""
    choices = choices_of(answer)
    if not choices:
        raise InvalidUpstreamResponse("The upstream's answer has no choices.", http_status=200)
    if not any(says_something(c.get("message")) or finish_reason_of(c) in ENDS_EMPTY for c in choices):
        raise InvalidUpstreamResponse("The upstream's answer is empty.", http_status=200)
    if not finish_reasons(answer):
        raise InvalidUpstreamResponse("The upstream's answer has no finish reason.", http_status=200)


def assemble(chunks: Iterable[Json], accumulate: Accumulate) -> Json:
    """The whole answer that a stream's chunks amount to. `accumulate` merges a delta into what is there already.

    The chunks stay as they are: some may still wait to be sent to the caller.
    """
    completion: Json = {}
    choices: dict[int, Json] = {}
    for chunk in chunks:
        completion.update({k: v for k, v in chunk.items() if k not in ("choices", "obfuscation") and v is not None})
        for piece in choices_of(chunk):
            choice = choices.setdefault(index_of(piece), {"message": {}})
            for name, value in piece.items():
                if name == "delta":
                    _add_delta(choice["message"], value or {}, accumulate)
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
    for choice in choices.values():
        for tool_call in choice["message"].get("tool_calls") or ():
            tool_call.pop("index", None)
        choice["message"].setdefault("content", None)
    completion["object"] = "chat.completion"
    completion["choices"] = [choices[index] for index in sorted(choices)]
    return completion


def _add_delta(message: Json, delta: Json, accumulate: Accumulate) -> None:
    """Add a delta, where the accumulator's rules do not fit: it appends names that a provider repeats in every chunk,
    and it takes no list whose entries have no index."""
    pieces: dict[object, object] = {}
    for name, value in delta.items():
        if name == "role":
            message[name] = value or message.get(name)
        elif isinstance(value, list) and not all(isinstance(entry, dict) and "index" in entry for entry in value):
            _extend(message, name, value)
        elif name in TEXTS and isinstance(value, str) and isinstance(before := message.get(name) or "", str):
            message[name] = before + value  # nearly all of a stream; the accumulator takes ten times as long
        elif name == "tool_calls" and value:
            pieces[name] = [_without_repeats(piece, message.get(name) or ()) for piece in value]
        else:
            pieces[name] = value
    if pieces:
        # A copy, because the accumulator keeps what it is given first, and adds to it.
        accumulate(message, copy.deepcopy(pieces))  # type: ignore[arg-type]


def _extend(holder: Json, name: str, entries: Iterable[Any]) -> None:
    """In place: a new list for each chunk would make a long stream cost its length squared."""
    before = holder.get(name)
    if isinstance(before, list):
        before.extend(entries)
    else:
        holder[name] = [*(before or ()), *entries]


def _without_repeats(piece: Json, tool_calls: Iterable[Json]) -> Json:
    """A piece of a tool call, without the id and the name that are there already."""
    known = next((call for call in tool_calls if call.get("index") == piece["index"]), None)
    if known is None:
        return piece
    piece = {name: value for name, value in piece.items() if name != "id" or value != known.get("id")}
    function, before = piece.get("function"), known.get("function")
    if isinstance(function, dict) and isinstance(before, dict) and function.get("name") == before.get("name"):
        piece["function"] = {name: value for name, value in function.items() if name != "name"}
    return piece


def completion_of_text(text: str, model: str) -> Json:
    """A completion that says `text`: how a default message looks to an OpenAI client."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }


def chunks_of_completion(completion: Json) -> list[Json]:
    """The chunks of a stream that amounts to `completion`; the last one has its usage, if it has one."""
    frame = {name: value for name, value in completion.items() if name != "usage"}
    frame["object"] = "chat.completion.chunk"
    said: list[Json] = []
    ended: list[Json] = []
    for choice in choices_of(completion):
        index = {"index": index_of(choice)}
        rest = {name: value for name, value in choice.items() if name != "message"}
        said.append({**rest, "delta": _as_delta(choice.get("message") or {}), "finish_reason": None} | index)
        ended.append({**index, "delta": {}, "finish_reason": choice.get("finish_reason")})
    usage = [{**frame, "choices": [], "usage": completion["usage"]}] if completion.get("usage") else []
    return [{**frame, "choices": said}, {**frame, "choices": ended}, *usage]


def _as_delta(message: Json) -> Json:
    """In a delta, pieces of a tool call say which one they belong to."""
    if not message.get("tool_calls"):
        return message
    return {**message, "tool_calls": [{**call, "index": i} for i, call in enumerate(message["tool_calls"])]}
