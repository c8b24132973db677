"""A circuit breaker for each model: after several failures in a row it opens, and the walk skips the model for a while.

    closed ──N failures in a row──> open ──cooldown over──> half-open ──success──> closed
                                     ^                          │
                                     └─────────failure──────────┘

A half-open breaker lets exactly one trial through. A trial that is cancelled says nothing about the model, and the next
attempt becomes the trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from llm.routing.route import ModelRef

# How many models may have a breaker. Callers may name any model, so there must be a limit. Above it, the breakers whose
# last failure is the longest ago are forgotten.
MAX_MODELS = 1_000


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """The permission to start one attempt. It is given back exactly once: as succeeded, failed or released."""

    model: ModelRef
    is_trial: bool = False


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    open_until: float | None = None
    trial: Permit | None = None


class CircuitBreakers:
    """The breakers of all models that have failed lately.

    A breaker opens after `failures` failures in a row and stays open for `cooldown` seconds. `clock` returns
    seconds of a monotonic clock.
    """

    def __init__(self, *, failures: int, cooldown: float, clock: Callable[[], float]) -> None:
        self._failures = failures
        self._cooldown = cooldown
        self._clock = clock
        self._breakers: dict[ModelRef, _Breaker] = {}

    def state(self, model: ModelRef) -> BreakerState:
        breaker = self._breakers.get(model)
        if breaker is None or breaker.open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < breaker.open_until else BreakerState.HALF_OPEN

    def states(self) -> dict[ModelRef, BreakerState]:
        """The state of every model whose breaker is not closed."""
        return {model: state for model in self._breakers if (state := self.state(model)) is not BreakerState.CLOSED}

    def would_admit(self, model: ModelRef) -> bool:
        """Whether `admit` would return a permit now."""
        state = self.state(model)
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and self._breakers[model].trial is None)

    def admit(self, model: ModelRef) -> Permit | None:
        """A permit to start an attempt now, or None. If half-open, the first who asks gets the only trial."""
        state = self.state(model)
        if state is BreakerState.CLOSED:
            return Permit(model)
        breaker = self._breakers[model]
        if state is BreakerState.OPEN or breaker.trial is not None:
            return None
        breaker.trial = Permit(model, is_trial=True)
        return breaker.trial

    def succeeded(self, permit: Permit) -> None:
        """Close the breaker and forget the model's failures."""
        self._breakers.pop(permit.model, None)

    def failed(self, permit: Permit, *, retry_after: float | None = None) -> None:
        """Count a failure. A breaker stays open for the cooldown, or for as long as the upstream asked for."""
        breaker = self._breakers.pop(permit.model, None) or _Breaker()
        self._breakers[permit.model] = breaker
        breaker.failures += 1
        if breaker.trial is permit:
            breaker.trial = None
        if breaker.failures >= self._failures:
            breaker.open_until = self._clock() + (self._cooldown if retry_after is None else retry_after)
        while len(self._breakers) > MAX_MODELS:
            del self._breakers[next(iter(self._breakers))]

    def released(self, permit: Permit) -> None:
        """The attempt ended and says nothing about the model: it was cancelled, or the request itself was wrong."""
        breaker = self._breakers.get(permit.model)
        if breaker is not None and breaker.trial is permit:
            breaker.trial = None
