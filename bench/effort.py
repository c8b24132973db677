"""Says how long to measure, for results that are published and for a trial of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    name: str
    rounds: int
    warm_up_s: float
    load_s: float
    # How many streams are measured for the time to the first token.
    first_tokens: int
    # How long slow streams are open before the memory is measured.
    hold_s: float

    def __str__(self) -> str:
        return f"{self.name}: {self.rounds} round(s), {self.load_s:.0f} s a figure, medians"


QUICK = Effort("quick, not for the record", rounds=1, warm_up_s=2, load_s=4, first_tokens=100, hold_s=3)
FULL = Effort("full", rounds=3, warm_up_s=5, load_s=10, first_tokens=500, hold_s=10)
