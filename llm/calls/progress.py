"""What has happened in a call so far. `Call` and `Asking` write it down, and the outcome is made from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm.json_values import Json
from llm.upstream.attempt import Attempt


@dataclass(slots=True)
class RelayedStream:
    """What has been passed on to the caller of the stream that won."""

    attempt: Attempt
    text: list[str] = field(default_factory=list)
    finish_reason: str = ""
    answer_id: str = ""

    # All chunks, if the request asked to keep the answer.
    chunks: list[Json] = field(default_factory=list)

    def add(self, batch: list[Json], *, keep: bool) -> None:
        """Note what a batch says. With `keep`, keep its chunks as well."""
        operation = self.attempt.operation
        for chunk in batch:
            self.text.append(operation.text(chunk))
            self.finish_reason = operation.finish_reason(chunk) or self.finish_reason
            self.answer_id = self.answer_id or operation.answer_id(chunk)
        if keep:
            self.chunks += batch


@dataclass(slots=True)
class Progress:
    """What has happened in one call so far."""

    # When the call came in, in seconds of the event loop's clock.
    started: float

    # Every upstream request, in the order of their start.
    attempts: list[Attempt] = field(default_factory=list)

    # The number of the furthest stage that was tried, counted from 0.
    stage_reached: int = 0

    # The stream that is passed on, from its first content on.
    stream: RelayedStream | None = None
