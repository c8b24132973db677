"""What was seen of a world while it was played: requests, racers, calls."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from llm.calls.asking import Success
from llm.calls.request import CallOutcome, LateEnd
from llm.routing.walk import Race
from tests.llm.worlds.world import Caller


@dataclass
class Sent:
    """One request as the upstream saw it."""

    model: str
    race: Race
    started: float
    text: str
    ended: float | None = None


@dataclass
class Racer:
    """One model in one race, skipped or sent."""

    model: str
    race: Race
    started: float
    ended: float | None = None
    success: Success | None = None
    error: BaseException | None = None


@dataclass
class Seen:
    """One call as its caller, its record and its upstreams saw it."""

    caller: Caller
    started: float = 0.0
    outcomes: list[CallOutcome] = field(default_factory=list)
    ended: float = 0.0
    racing_at_end: int = 0
    open_at_end: list[Sent] = field(default_factory=list)
    late_ends: list[LateEnd] = field(default_factory=list)
    was_told: CallOutcome | None = None
    text: str = ""
    drained: bool = False
    sent: list[Sent] = field(default_factory=list)
    racers: list[Racer] = field(default_factory=list)
    deadline: float = 0.0

    @property
    def outcome(self) -> CallOutcome:
        return self.outcomes[0]

    def races(self) -> list[list[Racer]]:
        races: dict[int, list[Racer]] = defaultdict(list)
        for racer in self.racers:
            races[racer.race.number].append(racer)
        return [races[number] for number in sorted(races)]


@dataclass
class History:
    calls: list[Seen]
    most_trials: int
    grants: list[float]
    hedging_calls: list[float]
    most_read_on: int


def now() -> float:
    return asyncio.get_running_loop().time()
