"""An average that follows what it measures: older values count less and less."""

from __future__ import annotations

from dataclasses import dataclass

# How much an observation still counts when the next one has come. So about the last 20 decide.
KEPT = 0.95


@dataclass(slots=True)
class Ratio:
    """The sum of `of` over the sum of `to`. Sums, because one long answer says more than one short answer."""

    _of: float = 0.0
    _to: float = 0.0

    def add(self, of: float, to: float) -> None:
        self._of = self._of * KEPT + of
        self._to = self._to * KEPT + to

    @property
    def value(self) -> float | None:
        """None if nothing was observed."""
        return self._of / self._to if self._to > 0 else None
