"""A circuit breaker for each operation of each model: after failures in a row it opens, and the walk skips the model.

    closed ──N failures in a row──> open ──cooldown over──> half-open ──success──> closed
                                     ^                          │
                                     └─────────failure──────────┘

A half-open breaker lets exactly one trial through. A trial that is cancelled says nothing about the model, and the next
attempt becomes the trial.

It opens for those callers who have seen the failures. N failures of one caller open it for this caller only, because
the reason may be in the requests. It opens for everybody when several callers fail, of whom none counts for more than
half of N; or when a failure can't have its reason in a request, like a connection that is refused. A success, whoever
has it, closes it for everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from llm.routing.route import ModelOperation

# How many breakers there may be. Callers may name any model, so there must be a limit. Above it, the breakers whose
# last failure is the longest ago are forgotten.
MAX_BREAKERS = 1_000

# How many callers are remembered for each breaker. Those whose last failure is the longest ago are forgotten.
MAX_CALLERS = 100


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """The permission to start one attempt. It is given back exactly once: as succeeded, failed or released."""

    target: ModelOperation
    caller: str = ""
    is_trial: bool = False


@dataclass(slots=True)
class _Row:
    """Failures in a row, and until when they keep the breaker open."""

    failures: int = 0
    open_until: float | None = None


@dataclass(slots=True)
class _Breaker:
    # The failures of each caller, which open the breaker for this caller.
    own: dict[str, _Row] = field(default_factory=dict)

    # Those failures that count for everybody.
    shared: _Row = field(default_factory=_Row)

    # How many of the shared failures can't have their reason in a request.
    certain: int = 0

    trial: Permit | None = None

    def open_until(self, caller: str) -> float | None:
        own = self.own.get(caller)
        times = (self.shared.open_until, own.open_until if own else None)
        return max((until for until in times if until is not None), default=None)


class CircuitBreakers:
    """The breakers of all models that have failed lately.

    `failures` in a row open a breaker, for `cooldown` seconds. `clock` returns seconds of a monotonic clock. A caller
    is any text that tells callers apart.
    """

    def __init__(self, *, failures: int, cooldown: float, clock: Callable[[], float]) -> None:
        self._failures = failures
        self._cooldown = cooldown
        self._clock = clock
        self._breakers: dict[ModelOperation, _Breaker] = {}

    def state(self, target: ModelOperation, caller: str = "") -> BreakerState:
        """The state as one caller finds it."""
        breaker = self._breakers.get(target)
        return BreakerState.CLOSED if breaker is None else self._state_at(breaker.open_until(caller))

    def states(self) -> dict[ModelOperation, BreakerState]:
        """The breakers that are not closed for everybody. One that is open for any caller is open."""
        states: dict[ModelOperation, BreakerState] = {}
        for target, breaker in self._breakers.items():
            rows = (breaker.shared, *breaker.own.values())
            until = max((row.open_until for row in rows if row.open_until is not None), default=None)
            if (state := self._state_at(until)) is not BreakerState.CLOSED:
                states[target] = state
        return states

    def would_admit(self, target: ModelOperation, caller: str = "") -> bool:
        """Whether `admit` would return a permit now."""
        state = self.state(target, caller)
        return state is BreakerState.CLOSED or (
            state is BreakerState.HALF_OPEN and self._breakers[target].trial is None
        )

    def admit(self, target: ModelOperation, caller: str = "") -> Permit | None:
        """A permit to start an attempt now, or None. If half-open, the first who asks gets the only trial."""
        state = self.state(target, caller)
        if state is BreakerState.CLOSED:
            return Permit(target, caller)
        breaker = self._breakers[target]
        if state is BreakerState.OPEN or breaker.trial is not None:
            return None
        breaker.trial = Permit(target, caller, is_trial=True)
        return breaker.trial

    def succeeded(self, permit: Permit) -> None:
        """Close the breaker for everybody and forget all failures."""
        self._breakers.pop(permit.target, None)

    def failed(self, permit: Permit, *, retry_after: float | None = None, certain: bool = False) -> None:
        """Count a failure. A breaker stays open for the cooldown, or for as long as the upstream asked for.

        `certain`: the reason of the failure can't be in the request.
        """
        breaker = self._breakers.pop(permit.target, None) or _Breaker()
        self._breakers[permit.target] = breaker
        if breaker.trial is permit:
            breaker.trial = None
        own = breaker.own.pop(permit.caller, None) or _Row()
        breaker.own[permit.caller] = own
        own.failures += 1
        if certain:
            breaker.certain += 1
        if certain or own.failures <= self._most_of_one:
            breaker.shared.failures += 1
        open_until = self._clock() + (self._cooldown if retry_after is None else retry_after)
        if own.failures >= self._failures:
            own.open_until = open_until
        several = len(breaker.own) > 1 or breaker.certain >= self._failures
        if several and breaker.shared.failures >= self._failures:
            breaker.shared.open_until = open_until
        while len(breaker.own) > MAX_CALLERS:
            del breaker.own[next(iter(breaker.own))]
        while len(self._breakers) > MAX_BREAKERS:
            del self._breakers[next(iter(self._breakers))]

    def released(self, permit: Permit) -> None:
        """The attempt ended and says nothing about the model: it was cancelled, or the request itself was wrong."""
        breaker = self._breakers.get(permit.target)
        if breaker is not None and breaker.trial is permit:
            breaker.trial = None

    @property
    def _most_of_one(self) -> int:
        """How many failures of one caller count for everybody."""
        return (self._failures + 1) // 2

    def _state_at(self, open_until: float | None) -> BreakerState:
        if open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < open_until else BreakerState.HALF_OPEN
