"""A text completion in OpenAI's shape, whole and as the chunks of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from typing import Any

from llm.simulator.answer import ParsedRequest
from llm.simulator.apis.completions_request import CompletionsRequest
from llm.simulator.generation.model_output import generate
from llm.simulator.generation.tokens import TokenCounts
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.serving.server_sent_events import DONE, event


def parse_completions(payload: Mapping[str, Any]) -> ParsedRequest:
    """Read a request for a text completion. Raises Refusal (400), which names the wrong parameter."""
    request = CompletionsRequest.from_payload(payload)
    # Each prompt is read by itself, so the longest one must fit the context window.
    longest = max(prompt.tokens for prompt in request.prompts)
    parsed = ParsedRequest.of(longest, partial(_complete, request), stream=request.stream)
    return replace(parsed, billed_prompt_tokens=sum(prompt.tokens for prompt in request.prompts))


def _complete(request: CompletionsRequest, behaviour: Behaviour) -> CompletionsAnswer:
    choices = []
    for prompt in request.prompts:
        output = generate(prompt, behaviour)
        echoed = prompt.last_user_text if request.echo else ""
        choices += [_Choice(echoed, output.pieces, output.finish_reason)] * request.choices
    generated = sum(len(choice.pieces) for choice in choices)
    return CompletionsAnswer(
        model=request.model,
        choices=tuple(choices),
        tokens=TokenCounts.of(sum(prompt.tokens for prompt in request.prompts), generated, behaviour),
        include_usage=request.include_usage,
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    echoed: str
    pieces: tuple[str, ...]
    finish_reason: str


@dataclass(frozen=True, slots=True)
class CompletionsAnswer:
    """A content chunk is one piece of one choice; the choices take turns. An echoed prompt comes before any content."""

    model: str
    choices: tuple[_Choice, ...]
    tokens: TokenCounts | None
    include_usage: bool
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def chunks(self) -> int:
        """How many content chunks all choices have together."""
        return sum(len(choice.pieces) for choice in self.choices)

    @property
    def generated(self) -> int:
        """One token for each content chunk."""
        return self.chunks

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer in one piece. With `until`, it has only that many content chunks and no finish reason."""
        texts = [choice.echoed for choice in self.choices]
        for index, piece in list(self._turns())[:until]:
            texts[index] += piece
        choices = [
            _choice(index, text, choice.finish_reason if until is None else None)
            for index, (text, choice) in enumerate(zip(texts, self.choices, strict=True))
        ]
        answer = self._head() | {"choices": choices}
        return answer if self.tokens is None else answer | {"usage": self.tokens.as_completion_usage()}

    def opening_events(self) -> Iterator[bytes]:
        """The echoed prompts."""
        for index, choice in enumerate(self.choices):
            if choice.echoed:
                yield self._event(_choice(index, choice.echoed))

    def content_events(self) -> Iterator[bytes]:
        """The content, one event for each chunk."""
        for index, piece in self._turns():
            yield self._event(_choice(index, piece))

    def closing_events(self) -> Iterator[bytes]:
        """The finish reason of every choice, then the usage if the client asked for it and the model reports it."""
        for index, choice in enumerate(self.choices):
            yield self._event(_choice(index, "", choice.finish_reason))
        if self.include_usage and self.tokens is not None:
            yield event(self._head() | {"choices": [], "usage": self.tokens.as_completion_usage()})
        yield DONE

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """An error object instead of a chunk."""
        return event({"error": dict(error)})

    def _turns(self) -> Iterator[tuple[int, str]]:
        """Every piece with the index of its choice, in the order in which they are sent."""
        for turn in zip_longest(*(choice.pieces for choice in self.choices)):
            yield from ((index, piece) for index, piece in enumerate(turn) if piece is not None)

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_simulated",
        }

    def _event(self, choice: dict[str, Any]) -> bytes:
        chunk = self._head() | {"choices": [choice]}
        return event(chunk | {"usage": None} if self.include_usage else chunk)


def _choice(index: int, text: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}
