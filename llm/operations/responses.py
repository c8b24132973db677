"""The Responses API, whose streams are a series of typed events. Source: OpenAI's API reference, "Responses"."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from llm.costs.estimates import Prompt, read_response
from llm.error_reading import read_error
from llm.errors import EmptyAnswer, InvalidUpstreamResponse
from llm.json_values import Json
from llm.operations.accumulation import Accumulator, ResponseAccumulator
from llm.operations.billing.searches import ToolUse, tools_of_items
from llm.operations.operation import Operation, StreamReader
from llm.operations.output_texts import texts_within
from llm.operations.response_events import ENDED, events_of, is_event, kind_of, object_in, objects_in

# Events whose delta is text that a person would read.
TEXT_DELTAS = frozenset({"response.output_text.delta", "response.refusal.delta"})

# What the names of events about thoughts begin with.
THOUGHTS = "response.reasoning"

# Output items that wait for the caller to run a tool.
TOOL_CALLS = frozenset({"function_call", "custom_tool_call"})


class ResponseReader(StreamReader):
    def read(self, chunk: Json) -> None:
        kind = kind_of(chunk)
        if kind == "error":
            raise read_error(chunk.get("error") or chunk, http_status=200)
        response = object_in(chunk.get("response"))
        if kind == "response.failed":
            raise read_error(response.get("error") or "The response failed.", http_status=200)
        says_something = RESPONSES.says_something(chunk)
        if kind in ENDED:
            self.finished = self.over = True
            has_output = RESPONSES.says_something({**response, "object": "response"})
        elif kind == "response.output_item.done":
            # A tool that the upstream runs itself may be done before there is any text.
            has_output = _is_output(object_in(chunk.get("item")))
        else:
            has_output = says_something and not kind.startswith(THOUGHTS)
        self.begun = self.begun or has_output
        self.alive = self.alive or has_output or says_something


class Responses(Operation):
    name = "responses"
    path = "/responses"
    end: ClassVar[Json] = {"type": "response.done"}

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        return {**body, "stream": True}

    def check(self, answer: Json, body: Mapping[str, Any]) -> None:
        if answer.get("status") == "failed":
            raise read_error(answer.get("error") or "The response failed.", http_status=200)
        output = answer.get("output")
        if not isinstance(output, list):
            raise InvalidUpstreamResponse("The upstream's answer has no output.", http_status=200)
        # The caller's own limit or the provider's filter makes a response incomplete, and explains an empty one.
        if not any(map(_is_output, objects_in(output))) and answer.get("status") != "incomplete":
            raise EmptyAnswer("The upstream's answer is empty.", http_status=200)

    def reader(self, body: Mapping[str, Any]) -> StreamReader:
        return ResponseReader()

    def accumulator(self) -> Accumulator:
        return ResponseAccumulator()

    def output_texts(self, answer: Json) -> list[str]:
        if is_event(answer):
            delta = answer.get("delta")
            return [delta] if isinstance(delta, str) and delta else []
        return list(texts_within(answer.get("output")))

    def says_something(self, answer: Json) -> bool:
        if is_event(answer):
            return kind_of(answer).endswith(".delta") and bool(answer.get("delta"))
        return any(map(_is_output, objects_in(answer.get("output"))))

    def text(self, answer: Json) -> str:
        if is_event(answer):
            return str(answer.get("delta") or "") if kind_of(answer) in TEXT_DELTAS else ""
        parts = (part for item in objects_in(answer.get("output")) for part in objects_in(item.get("content")))
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)

    def finish_reason(self, answer: Json) -> str:
        """The finish reason in the words of chat completions, so that records of both APIs can be compared."""
        if is_event(answer):
            if (kind := kind_of(answer)) not in ENDED:
                return ""
            ended_as = "incomplete" if kind == "response.incomplete" else "completed"
            return self.finish_reason({**object_in(answer.get("response")), "status": ended_as, "object": "response"})
        status = answer.get("status")
        if status == "incomplete":
            reason = str(object_in(answer.get("incomplete_details")).get("reason") or "incomplete")
            return "length" if reason == "max_output_tokens" else reason
        if status not in (None, "completed"):
            return ""
        calls_tool = any(kind_of(item) in TOOL_CALLS for item in objects_in(answer.get("output")))
        return "tool_calls" if calls_tool else "stop"

    def usages(self, answer: Json) -> list[Json]:
        return objects_in([_response_in(answer).get("usage") or answer.get("usage")])

    def tools_used(self, answer: Json, model: str) -> ToolUse:
        return tools_of_items(objects_in(answer.get("output")), objects_in(answer.get("tools")), model)

    def answer_id(self, answer: Json) -> str:
        return str(_response_in(answer).get("id") or "")

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        asked = body.get("input")
        instructions = body.get("instructions")
        system = [{"role": "system", "content": instructions}] if instructions else []
        return [*system, *(asked if isinstance(asked, list) else [{"role": "user", "content": asked}])]

    def input_fields(self) -> frozenset[str]:
        return frozenset({"input", "instructions"})

    def prompt(self, body: Mapping[str, Any], model: str = "") -> Prompt:
        return read_response(body, model)

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
        return events_of(answer)


def _response_in(answer: Json) -> Json:
    """The response that an event carries, or the answer itself if it is a whole response."""
    return object_in(answer.get("response") if is_event(answer) else answer)


def _is_output(item: Json) -> bool:
    """Whether an output item is an answer.

    Reasoning does not count as an answer. A message without content does not either. The work of a tool does.
    """
    match item.get("type"):
        case "reasoning":
            return False
        case "message":
            parts = objects_in(item.get("content"))
            return any(part.get("text") or part.get("refusal") or part.get("audio") for part in parts)
    return True


RESPONSES = Responses()
