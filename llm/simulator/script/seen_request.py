"""What is noted about a request that the simulator has seen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(slots=True)
class SeenRequest:
    """A request to an address that asks a model. It never holds a header, and so never a key.

    `ended` is `complete` if the simulator has done all that its script says, and `disconnected` if the client left
    first.
    """

    path: str
    model: str | None = None
    stream: bool = False
    body: Mapping[str, Any] | None = None
    started_at: float = field(default_factory=time.time)
    ended: Literal["complete", "disconnected", "open"] = "open"
    chunks_sent: int = 0
    disconnected_after_ms: float | None = None
    # When the request came, by a clock that never jumps.
    _clock: float = field(default_factory=time.perf_counter)

    def complete(self) -> None:
        """The simulator has done all that its script says, which may be to reset the connection."""
        if self.ended == "open":
            self.ended = "complete"

    def disconnected(self) -> None:
        """The client left first. Changes nothing if the request is complete already."""
        if self.ended == "open":
            self.ended = "disconnected"
            self.disconnected_after_ms = round((time.perf_counter() - self._clock) * 1000, 3)

    def to_dict(self) -> dict[str, Any]:
        """The request as `GET /_requests` shows it. `started_at` is in seconds since the epoch."""
        return {
            "model": self.model,
            "stream": self.stream,
            "path": self.path,
            "started_at": self.started_at,
            "ended": self.ended,
            "chunks_sent": self.chunks_sent,
            "disconnected_after_ms": self.disconnected_after_ms,
            "body": self.body,
        }
