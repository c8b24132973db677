"""What the sender needs to know of an answer, and no more: any API's fits it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from llm.simulator.behaviour import Behaviour
from llm.simulator.exchange import to_json


class Answer(Protocol):
    """An answer decided in full, before anything is sent."""

    @property
    def chunks(self) -> int:
        """How many content chunks there are."""

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer in one piece; with `until`, only that many content chunks of it and no finish reason."""


class StreamedAnswer(Answer, Protocol):
    """An answer that can be sent as server-sent events too. They are bytes for the wire."""

    def opening_events(self) -> Iterable[bytes]:
        """What comes before any content."""

    def content_events(self) -> Iterable[bytes]:
        """`chunks` of them."""

    def closing_events(self) -> Iterable[bytes]:
        """Why it ended, the usage, and how the API ends a stream."""

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """A failure in the middle of the stream, made of OpenAI's error object."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request of any API, to be answered by `stream` if there is one, else by `whole`."""

    prompt_tokens: int
    whole: Callable[[Behaviour], Answer]
    stream: Callable[[Behaviour], StreamedAnswer] | None = None

    @classmethod
    def of(cls, prompt_tokens: int, answer: Callable[[Behaviour], StreamedAnswer], *, stream: bool) -> Self:
        """A request of an API that can stream."""
        return cls(prompt_tokens, answer, answer if stream else None)


def event(payload: Mapping[str, Any], *, name: str | None = None) -> bytes:
    """One server-sent event with a JSON payload."""
    return raw_event(to_json(payload), name=name)


def raw_event(data: bytes, *, name: str | None = None) -> bytes:
    """One server-sent event with any data of one line."""
    return (b"" if name is None else f"event: {name}\n".encode()) + b"data: " + data + b"\n\n"


DONE: Final = raw_event(b"[DONE]")
"""How the older APIs end a stream."""
