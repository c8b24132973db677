"""What has happened in a call so far. `Call` and `Asking` write it down, and the outcome is made from it."""

from __future__ import annotations

from dataclasses import dataclass, field

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

    # The attempt whose stream is passed on, from its first content on.
    relayed: Attempt | None = None
