"""How much time is left to the process after it was told to stop."""

from __future__ import annotations

import time


class GracePeriod:
    """It begins when the process learns that it has to stop, and it has `seconds` from then on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun_at: float | None = None

    def begin(self) -> None:
        """Say that the process was told to stop. Only the first time has an effect."""
        if self._begun_at is None:
            self._begun_at = time.monotonic()

    def seconds_left(self) -> float:
        """How many seconds are left. Begins the period if nobody has yet."""
        self.begin()
        assert self._begun_at is not None
        return max(0.0, self._begun_at + self._seconds - time.monotonic())
