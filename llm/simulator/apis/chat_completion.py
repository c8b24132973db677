"""A chat completion in OpenAI's shape: as a whole, and as the chunks of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llm.simulator.answer import DONE, Asked, event
from llm.simulator.apis.chat_request import ChatRequest
from llm.simulator.behaviour import Behaviour
from llm.simulator.generation.generation import Generation, generate
from llm.simulator.generation.tokens import TokenCounts
from llm.simulator.generation.tool_call import ToolCall


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """Every choice says the same. A content chunk is one piece of one choice; the choices take turns."""

    model: str
    choices: int
    generation: Generation
    tokens: TokenCounts | None
    include_usage: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    call_id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def chunks(self) -> int:
        """How many content chunks there are, all choices together."""
        return self.choices * len(self.generation.pieces)

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer in one piece; with `until`, only that many content chunks of it and no finish reason."""
        pieces = self.generation.pieces
        choices = []
        for index in range(self.choices):
            count = len(pieces) if until is None else (until + self.choices - 1 - index) // self.choices
            choices.append(
                {
                    "index": index,
                    "message": self._message("".join(pieces[:count])),
                    "logprobs": None,
                    "finish_reason": self.generation.finish_reason if until is None else None,
                }
            )
        answer = self._head("chat.completion") | {"choices": choices}
        return answer if self.tokens is None else answer | {"usage": self.tokens.as_completion_usage()}

    def opening_events(self) -> Iterator[bytes]:
        """The role, for every choice."""
        for index in range(self.choices):
            content = None if self.generation.tool else ""
            yield self._event(index, {"role": "assistant", "content": content, "refusal": None})

    def content_events(self) -> Iterator[bytes]:
        """`chunks` of them."""
        for place, piece in enumerate(self.generation.pieces):
            for index in range(self.choices):
                yield self._event(index, self._delta(place, piece))

    def closing_events(self) -> Iterator[bytes]:
        """The finish reason of every choice, then the usage if the client asked and the model reports it."""
        for index in range(self.choices):
            yield self._event(index, {}, self.generation.finish_reason)
        if self.include_usage and self.tokens is not None:
            usage = self.tokens.as_completion_usage()
            yield event(self._head("chat.completion.chunk") | {"choices": [], "usage": usage})
        yield DONE

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """An error object in place of a chunk."""
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
        tool = self.generation.tool
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
        tool = self.generation.tool
        if tool is None:
            return {"content": piece}
        # OpenAI names the call in its first piece only, and numbers the calls of a message.
        call = self._call(tool, piece) if place == 0 else {"function": {"arguments": piece}}
        return {"tool_calls": [{"index": 0} | call]}


def ask_chat(payload: Mapping[str, Any]) -> Asked:
    """Read a chat completion request. Raises Refusal (400) with `param` set."""
    request = ChatRequest.from_payload(payload)
    return Asked.of(request.prompt.tokens, partial(_complete, request), stream=request.stream)


def _complete(request: ChatRequest, behaviour: Behaviour) -> ChatCompletion:
    generation = generate(request.prompt, behaviour)
    generated = request.choices * len(generation.pieces)
    return ChatCompletion(
        model=request.prompt.model,
        choices=request.choices,
        generation=generation,
        tokens=TokenCounts.of(request.prompt.tokens, generated, behaviour),
        include_usage=request.include_usage,
    )
