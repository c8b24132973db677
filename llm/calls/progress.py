"""What has happened in a call so far. `Call` and `Asking` write it down, and the outcome is made from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm.calls.reading_on import LateAnswer
from llm.calls.request import Opening
from llm.upstream.attempt import Attempt


@dataclass(slots=True)
class Progress:
    """What has happened in one call so far."""

    # When the call came in, in seconds of the event loop's clock.
    started: float

    # Every upstream request, in the order of their start.
    attempts: list[Attempt] = field(default_factory=list)

    # The number of the furthest stage that was tried, counted from 0.
    stage_reached: int = 0

    # The whole answers that are read on, or were, although nobody waited for them any more.
    read_on: list[LateAnswer] = field(default_factory=list)

    # The attempt whose stream is passed on, from its first content on.
    relayed: Attempt | None = None

    @property
    def opening(self) -> Opening:
        """What is known of a stream when its first content has come, or when the call has ended without any."""
        if self.relayed is None:
            return Opening(attempts=len(self.attempts))
        return Opening(self.relayed.model.name, self.relayed.provider.name, attempts=len(self.attempts))
