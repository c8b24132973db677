"""A chat completion in OpenAI's shape, whole and as the chunks of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llm.simulator.answer import ParsedRequest
from llm.simulator.apis.chat_request import ChatRequest
from llm.simulator.generation.model_output import ModelOutput, generate
from llm.simulator.generation.tokens import TokenCounts
from llm.simulator.generation.tool_call import ToolCall
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.serving.server_sent_events import DONE, event


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """All choices say the same. A content chunk is one piece of one choice; the choices take turns."""

    model: str
    choices: int
    output: ModelOutput
    tokens: TokenCounts | None
    include_usage: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    call_id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def chunks(self) -> int:
        """How many content chunks all choices have together."""
        return self.choices * len(self.output.pieces)

    @property
    def generated(self) -> int:
        """One token for each content chunk."""
        return self.chunks

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer in one piece. With `until`, it has only that many content chunks and no finish reason."""
        pieces = self.output.pieces
        choices = []
        for index in range(self.choices):
            count = len(pieces) if until is None else (until + self.choices - 1 - index) // self.choices
            choices.append(
                {
                    "index": index,
                    "message": self._message("".join(pieces[:count])),
                    "logprobs": None,
                    "finish_reason": self.output.finish_reason if until is None else None,
                }
            )
        answer = self._head("chat.completion") | {"choices": choices}
        return answer if self.tokens is None else answer | {"usage": self.tokens.as_completion_usage()}

    def opening_events(self) -> Iterator[bytes]:
        """The role of every choice."""
        for index in range(self.choices):
            content = None if self.output.tool else ""
            yield self._event(index, {"role": "assistant", "content": content, "refusal": None})

    def content_events(self) -> Iterator[bytes]:
        """The content, one event for each chunk."""
        for place, piece in enumerate(self.output.pieces):
            for index in range(self.choices):
                yield self._event(index, self._delta(place, piece))

    def closing_events(self) -> Iterator[bytes]:
        """The finish reason of every choice, then the usage if the client asked for it and the model reports it."""
        for index in range(self.choices):
            yield self._event(index, {}, self.output.finish_reason)
        if self.include_usage and self.tokens is not None:
            usage = self.tokens.as_completion_usage()
            yield event(self._head("chat.completion.chunk") | {"choices": [], "usage": usage})
        yield DONE

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """An error object instead of a chunk."""
        return event({"error": dict(error)})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_simulated",
        }

    def _event(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._head("chat.completion.chunk") | {"choices": [choice]}
        return event(chunk | {"usage": None} if self.include_usage else chunk)

    def _message(self, text: str) -> dict[str, Any]:
        tool = self.output.tool
        if tool is None:
            return {"role": "assistant", "content": text, "refusal": None}
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [self._call(tool, text)]}

    def _call(self, tool: ToolCall, arguments: str) -> dict[str, Any]:
        return {
            "id": self.call_id,
            "type": "function",
            "function": {"name": tool.name, "arguments": arguments},
        }

    def _delta(self, place: int, piece: str) -> dict[str, Any]:
        tool = self.output.tool
        if tool is None:
            return {"content": piece}
        # Like OpenAI, only the first piece of a call has its id and name, and all have the number of the call.
        call = self._call(tool, piece) if place == 0 else {"function": {"arguments": piece}}
        return {"tool_calls": [{"index": 0} | call]}


def parse_chat(payload: Mapping[str, Any]) -> ParsedRequest:
    """Read a request for a chat completion. Raises Refusal (400), which names the wrong parameter."""
    request = ChatRequest.from_payload(payload)
    return ParsedRequest.of(request.prompt.tokens, partial(_complete, request), stream=request.stream)


def _complete(request: ChatRequest, behaviour: Behaviour) -> ChatAnswer:
    output = generate(request.prompt, behaviour)
    generated = request.choices * len(output.pieces)
    return ChatAnswer(
        model=request.prompt.model,
        choices=request.choices,
        output=output,
        tokens=TokenCounts.of(request.prompt.tokens, generated, behaviour),
        include_usage=request.include_usage,
    )
