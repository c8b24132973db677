"""What the sender must know about an answer. The answers of every API have this shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from llm.simulator.script.behaviour import Behaviour


class Answer(Protocol):
    """An answer that is complete before anything of it is sent."""

    @property
    def chunks(self) -> int:
        """How many content chunks there are."""

    @property
    def generated(self) -> int:
        """How many tokens the model has written for the whole answer, without those of its reasoning."""

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer in one piece. With `until`, it has only that many content chunks and no finish reason."""


class StreamedAnswer(Answer, Protocol):
    """An answer that can also be sent as server-sent events. The events are bytes for the wire."""

    def opening_events(self) -> Iterable[bytes]:
        """The events before any content."""

    def content_events(self) -> Iterable[bytes]:
        """The events with the content, one for each chunk."""

    def closing_events(self) -> Iterable[bytes]:
        """The events with the finish reason and the usage, and whatever ends a stream of this API."""

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """The event that reports a failure in the middle of a stream. `error` is OpenAI's error object."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A valid request of any API. `stream` is None if the API can't stream.

    `prompt_tokens` are those that must fit the context window. `billed_prompt_tokens` are those of all prompts, where
    there are several; None means that there is one.
    """

    prompt_tokens: int
    whole: Callable[[Behaviour], Answer]
    stream: Callable[[Behaviour], StreamedAnswer] | None = None
    wants_stream: bool = False
    billed_prompt_tokens: int | None = None

    @classmethod
    def of(cls, prompt_tokens: int, answer: Callable[[Behaviour], StreamedAnswer], *, stream: bool) -> Self:
        """A request of an API that can stream. `stream` says whether the request wants a stream."""
        return cls(prompt_tokens, answer, answer, stream)
