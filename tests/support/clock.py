"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Call it to read its seconds; set `now` to move it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
