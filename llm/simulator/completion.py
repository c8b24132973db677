"""A chat completion in OpenAI's shape: as a whole, and as the chunks of a stream."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from llm.simulator.behaviour import Behaviour
from llm.simulator.chat_request import ChatRequest, ToolCall

_PIECE: Final = re.compile(r"\s*\S{1,6}|\s+\Z")
_ECHO_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Completion:
    """What will be answered, decided before anything is sent.

    Every choice has the same `pieces`, which together are its text, or, with `tool`, the arguments of a call. A content
    chunk is one piece of one choice; the choices take turns.
    """

    model: str
    choices: int
    pieces: tuple[str, ...]
    tool: ToolCall | None
    finish_reason: str
    usage: dict[str, Any] | None
    include_usage: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    call_id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def chunks(self) -> int:
        """How many content chunks there are, all choices together."""
        return self.choices * len(self.pieces)

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer in one piece; with `until`, only that many content chunks of it and no finish reason."""
        choices = []
        for index in range(self.choices):
            count = len(self.pieces) if until is None else (until + self.choices - 1 - index) // self.choices
            choices.append(
                {
                    "index": index,
                    "message": self._message("".join(self.pieces[:count])),
                    "logprobs": None,
                    "finish_reason": self.finish_reason if until is None else None,
                }
            )
        answer = self._head("chat.completion") | {"choices": choices}
        return answer if self.usage is None else answer | {"usage": self.usage}

    def role_chunks(self) -> Iterator[dict[str, Any]]:
        """One for every choice; they come first and have no content."""
        for index in range(self.choices):
            content = None if self.tool else ""
            yield self._chunk(index, {"role": "assistant", "content": content, "refusal": None})

    def content_chunks(self) -> Iterator[dict[str, Any]]:
        """`chunks` of them."""
        for place, piece in enumerate(self.pieces):
            for index in range(self.choices):
                yield self._chunk(index, self._delta(place, piece))

    def closing_chunks(self) -> Iterator[dict[str, Any]]:
        """The finish reason of every choice, then the usage if the client asked and the model reports it."""
        for index in range(self.choices):
            yield self._chunk(index, {}, self.finish_reason)
        if self.include_usage and self.usage is not None:
            yield self._head("chat.completion.chunk") | {"choices": [], "usage": self.usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_simulated",
        }

    def _chunk(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._head("chat.completion.chunk") | {"choices": [choice]}
        return chunk | {"usage": None} if self.include_usage else chunk

    def _message(self, text: str) -> dict[str, Any]:
        if self.tool is None:
            return {"role": "assistant", "content": text, "refusal": None}
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [self._call(self.tool, text)]}

    def _call(self, tool: ToolCall, arguments: str) -> dict[str, Any]:
        return {
            "id": self.call_id,
            "type": "function",
            "function": {"name": tool.name, "arguments": arguments},
        }

    def _delta(self, place: int, piece: str) -> dict[str, Any]:
        if self.tool is None:
            return {"content": piece}
        # OpenAI names the call in its first piece only, and numbers the calls of a message.
        call = self._call(self.tool, piece) if place == 0 else {"function": {"arguments": piece}}
        return {"tool_calls": [{"index": 0} | call]}


def complete(request: ChatRequest, behaviour: Behaviour) -> Completion:
    """The answer that a model of this behaviour gives, in full; mishaps on the way are the sender's business."""
    tool = request.tool if behaviour.tool_call and not behaviour.empty else None
    pieces = ("", *_split(tool.arguments)) if tool else _split(_text(request, behaviour))
    natural = "tool_calls" if tool else "stop"
    if request.max_tokens is not None and len(pieces) > request.max_tokens:
        pieces, natural = pieces[: request.max_tokens], "length"
    return Completion(
        model=request.model,
        choices=request.choices,
        pieces=pieces,
        tool=tool,
        finish_reason=behaviour.finish_reason or natural,
        usage=_usage(request, behaviour, request.choices * len(pieces)) if behaviour.usage else None,
        include_usage=request.include_usage,
    )


def _text(request: ChatRequest, behaviour: Behaviour) -> str:
    if behaviour.empty:
        return ""
    if behaviour.answer is not None:
        return behaviour.answer
    said = " ".join(request.last_user_text.split())
    if len(said) > _ECHO_CHARACTERS:
        said = said[:_ECHO_CHARACTERS] + "…"
    return f"This is a simulated answer from {request.model}; no real model was asked. You said: {said}"


def _split(text: str) -> tuple[str, ...]:
    """Pieces of about a token each, which together are the text."""
    return tuple(_PIECE.findall(text))


def _usage(request: ChatRequest, behaviour: Behaviour, chunks: int) -> dict[str, Any]:
    # OpenAI's details are parts of the totals; a bill is computed by that, so it must hold for any script.
    prompt_tokens = max(request.prompt_tokens, behaviour.cached_tokens)
    completion_tokens = chunks + behaviour.reasoning_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": behaviour.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": behaviour.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
