"""The budget for hedges: at most a share of recent calls may hedge, so that hedges never double an upstream's load.

Source: Dean and Barroso, "The Tail at Scale", 2013: a hedge is cheap while few calls need one, and harmful when all do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# How far back calls and hedges are counted.
WINDOW_SECONDS = 10.0

# How many calls and hedges are counted at most, so that a very busy process does not need more and more memory.
MAX_CALLS_REMEMBERED = 10_000


class HedgeBudget:
    """Counts calls and hedges in a moving window.

    `share` is from 0 to 1; 0 allows no hedges. `clock` returns seconds of a monotonic clock.
    """

    def __init__(self, *, share: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._calls: deque[float] = deque(maxlen=MAX_CALLS_REMEMBERED)
        self._hedges: deque[float] = deque(maxlen=MAX_CALLS_REMEMBERED)

    def call_started(self) -> None:
        """Count a call that might hedge."""
        self._calls.append(self._clock())

    def allow(self) -> bool:
        """Whether a hedge may start now; if so, it is counted.

        One hedge in the window is always allowed, so that a single call can hedge too.
        """
        now = self._clock()
        for times in (self._calls, self._hedges):
            while times and times[0] < now - WINDOW_SECONDS:
                times.popleft()
        if self._share <= 0 or len(self._hedges) >= max(1.0, self._share * len(self._calls)):
            return False
        self._hedges.append(now)
        return True
