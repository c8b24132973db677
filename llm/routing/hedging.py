"""The budget for hedges: they may be at most a share of recent calls, so that they never double a slow upstream's load.

Source: Dean and Barroso, "The Tail at Scale", 2013: a hedge is cheap while few calls need one, and harmful when all do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 10.0
MAX_CALLS_REMEMBERED = 10_000


class HedgeBudget:
    """Counts calls and hedges over a moving window. `share` is 0 to 1; `clock` gives seconds of a monotonic clock."""

    def __init__(self, *, share: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._calls: deque[float] = deque(maxlen=MAX_CALLS_REMEMBERED)
        self._hedges: deque[float] = deque(maxlen=MAX_CALLS_REMEMBERED)

    def call_started(self) -> None:
        """Count a call that might hedge. One is enough for a first hedge: a lone call must be able to hedge too."""
        self._calls.append(self._clock())

    def allow(self) -> bool:
        """May a hedge start now? If so it is counted."""
        now = self._clock()
        for times in (self._calls, self._hedges):
            while times and times[0] < now - WINDOW_SECONDS:
                times.popleft()
        if self._share <= 0 or len(self._hedges) >= max(1.0, self._share * len(self._calls)):
            return False
        self._hedges.append(now)
        return True
