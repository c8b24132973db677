"""What the sender needs to know of an answer, and no more: any API's fits it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from llm.simulator.behaviour import Behaviour
from llm.simulator.exchange import to_json


class WholeAnswer(Protocol):
    """An answer decided in full, to be sent in one piece."""

    @property
    def chunks(self) -> int:
        """How many content chunks there are."""

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer in one piece; with `until`, only that many content chunks of it and no finish reason."""


@runtime_checkable
class Answer(WholeAnswer, Protocol):
    """One that can be sent as server-sent events too. The events are bytes for the wire."""

    def opening_events(self) -> Iterable[bytes]:
        """What comes before any content."""

    def content_events(self) -> Iterable[bytes]:
        """`chunks` of them."""

    def closing_events(self) -> Iterable[bytes]:
        """Why it ended, the usage, and how the API ends a stream."""

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """A failure in the middle of the stream, with OpenAI's error object."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request of any API, ready to be answered."""

    prompt_tokens: int
    stream: bool
    answer: Callable[[Behaviour], WholeAnswer]


def event(payload: Mapping[str, Any], *, name: str | None = None) -> bytes:
    """One server-sent event with a JSON payload."""
    return raw_event(to_json(payload), name=name)


def raw_event(data: bytes, *, name: str | None = None) -> bytes:
    """One server-sent event with any data of one line."""
    return (b"" if name is None else f"event: {name}\n".encode()) + b"data: " + data + b"\n\n"


DONE = raw_event(b"[DONE]")
"""How the older APIs end a stream."""
