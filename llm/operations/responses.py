"""Responses. A stream of them is a series of typed events. Source: OpenAI's API reference, "Responses"."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from llm.costs.tokens import TOKENS_PER_REPLY, count_input_tokens
from llm.costs.usage import Usage
from llm.error_reading import read_error
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json
from llm.operations.assembly import output_texts
from llm.operations.base import Accumulate, Operation, StreamReader, count_of

ENDED = frozenset({"response.completed", "response.incomplete"})
TEXT_DELTAS = frozenset({"response.output_text.delta", "response.refusal.delta"})
TOOL_CALLS = frozenset({"function_call", "custom_tool_call"})
"""Items that wait for the caller to run a tool."""


class ResponseReader(StreamReader):
    def read(self, chunk: Json) -> None:
        kind = _kind(chunk)
        if kind == "error":
            raise read_error(chunk, http_status=200)
        response = _object(chunk.get("response"))
        if kind == "response.failed":
            raise read_error(response.get("error") or "The response failed.", http_status=200)
        if kind in ENDED:
            if not self.begun:
                RESPONSES.check(response)
            self.begun = self.finished = True
        elif not self.begun:
            # A tool that the upstream itself runs may be done before there is a word of text.
            item_done = kind == "response.output_item.done" and _is_output(_object(chunk.get("item")))
            self.begun = item_done or RESPONSES.says_something(chunk)


class Responses(Operation):
    name = "responses"
    path = "/responses"

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        return {**body, "stream": True}

    def check(self, answer: Json) -> None:
        if answer.get("status") == "failed":
            raise read_error(answer.get("error") or "The response failed.", http_status=200)
        output = answer.get("output")
        if not isinstance(output, list):
            raise InvalidUpstreamResponse("The upstream's answer has no output.", http_status=200)
        # The caller's own limit, or the provider's filter, explains an empty answer.
        if not any(map(_is_output, _items(output))) and answer.get("status") != "incomplete":
            raise InvalidUpstreamResponse("The upstream's answer is empty.", http_status=200)

    def reader(self) -> StreamReader:
        return ResponseReader()

    def assemble(self, chunks: Iterable[Json], accumulate: Accumulate) -> Json:
        answers = [_object(chunk.get("response")) for chunk in chunks if _kind(chunk) in ENDED]
        if not answers:
            raise ValueError("the stream has no last event")
        return answers[-1]

    def output_texts(self, answer: Json) -> list[str]:
        if _is_event(answer):
            delta = answer.get("delta")
            return [delta] if isinstance(delta, str) and delta else []
        return list(output_texts(answer.get("output")))

    def says_something(self, answer: Json) -> bool:
        if _is_event(answer):
            return _kind(answer).endswith(".delta") and bool(answer.get("delta"))
        return any(map(_is_output, _items(answer.get("output"))))

    def text(self, answer: Json) -> str:
        if _is_event(answer):
            return str(answer.get("delta") or "") if _kind(answer) in TEXT_DELTAS else ""
        parts = (part for item in _items(answer.get("output")) for part in _items(item.get("content")))
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)

    def finish_reason(self, answer: Json) -> str:
        """In the words of chat completions, so that records of both can be compared."""
        if _is_event(answer):
            return self.finish_reason(_object(answer.get("response"))) if _kind(answer) in ENDED else ""
        if answer.get("status") == "incomplete":
            reason = str(_object(answer.get("incomplete_details")).get("reason") or "incomplete")
            return "length" if reason == "max_output_tokens" else reason
        calls_tool = any(_kind(item) in TOOL_CALLS for item in _items(answer.get("output")))
        return "tool_calls" if calls_tool else "stop"

    def usage(self, answer: Json) -> Usage | None:
        usage = _object(answer.get("response") if _is_event(answer) else answer).get("usage")
        prompt_tokens, completion_tokens = count_of(usage, "input_tokens"), count_of(usage, "output_tokens")
        if not isinstance(usage, dict) or (prompt_tokens is None and completion_tokens is None):
            return None
        return Usage(
            prompt_tokens=prompt_tokens or 0,
            completion_tokens=completion_tokens or 0,
            cached_tokens=count_of(usage.get("input_tokens_details"), "cached_tokens") or 0,
            reasoning_tokens=count_of(usage.get("output_tokens_details"), "reasoning_tokens") or 0,
        )

    def answer_id(self, answer: Json) -> str:
        return str(_object(answer.get("response") if _is_event(answer) else answer).get("id") or "")

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        asked = body.get("input")
        instructions = body.get("instructions")
        system = [{"role": "system", "content": instructions}] if instructions else []
        return [*system, *(asked if isinstance(asked, list) else [{"role": "user", "content": asked}])]

    def input_fields(self) -> frozenset[str]:
        return frozenset({"input", "instructions"})

    def prompt_tokens(self, body: Mapping[str, Any]) -> int:
        return count_input_tokens(body.get("instructions")) + count_input_tokens(body.get("input")) + TOKENS_PER_REPLY

    def answer_of_text(self, text: str, model: str) -> Json | None:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        message = {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }
        return {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": model,
            "output": [message],
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
        }

    def chunks_of(self, answer: Json) -> list[Json]:
        begun = {**answer, "status": "in_progress", "output": []}
        events: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
        for number, item in enumerate(_items(answer.get("output"))):
            events += _events_of_item(item, number)
        kind = "incomplete" if answer.get("status") == "incomplete" else "completed"
        events.append({"type": f"response.{kind}", "response": answer})
        return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _events_of_item(item: Json, number: int) -> list[Json]:
    """What a stream says of one piece of its output, each text in one delta."""
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
        for index, part in enumerate(_items(item.get("content"))):
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


def _is_event(answer: Json) -> bool:
    """An event of a stream, and not a whole answer: both may come to a method that reads either."""
    return "type" in answer and answer.get("object") != "response"


def _is_output(item: Json) -> bool:
    """Is an item of the output an answer? Reasoning and a message that says nothing are none; a tool's work is one."""
    match item.get("type"):
        case "reasoning":
            return False
        case "message":
            parts = _items(item.get("content"))
            return any(part.get("text") or part.get("refusal") or part.get("audio") for part in parts)
    return True


def _kind(value: Json) -> str:
    return str(value.get("type") or "")


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


RESPONSES = Responses()
