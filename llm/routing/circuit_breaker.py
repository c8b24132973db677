"""A circuit breaker per model: after some failures in a row it opens, and the walk skips the model for a while.

    closed ──N failures in a row──> open ──cooldown over──> half-open ──success──> closed
                                     ^                          │
                                     └─────────failure──────────┘

Half-open lets exactly one trial through. A trial that is cancelled gives its place back without a verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from llm.routing.route import ModelRef

MAX_MODELS = 1_000
"""Callers may name any model; the breakers that have been quiet longest make room."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to start one attempt. It is handed back, with a verdict, exactly once."""

    model: ModelRef
    is_trial: bool = False


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    open_until: float | None = None
    trial: Permit | None = None


class CircuitBreakers:
    """The breakers of all models that have failed lately. `clock` gives seconds of a monotonic clock."""

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
        state = self.state(model)
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and self._breakers[model].trial is None)

    def admit(self, model: ModelRef) -> Permit | None:
        """Leave to start an attempt now, or None. In half-open the first one who asks gets the only trial."""
        state = self.state(model)
        if state is BreakerState.CLOSED:
            return Permit(model)
        breaker = self._breakers[model]
        if state is BreakerState.OPEN or breaker.trial is not None:
            return None
        breaker.trial = Permit(model, is_trial=True)
        return breaker.trial

    def succeeded(self, permit: Permit) -> None:
        self._breakers.pop(permit.model, None)

    def failed(self, permit: Permit, *, retry_after: float | None = None) -> None:
        """Count a failure. An open breaker stays open for the cooldown, or for as long as the upstream asked."""
        breaker = self._breakers.pop(permit.model, None) or _Breaker()
        self._breakers[permit.model] = breaker
        breaker.failures += 1
        if breaker.trial is permit:
            breaker.trial = None
        if breaker.failures >= self._failures:
            breaker.open_until = self._clock() + (self._cooldown if retry_after is None else retry_after)
        while len(self._breakers) > MAX_MODELS:
            del self._breakers[next(iter(self._breakers))]

    def abandoned(self, permit: Permit) -> None:
        """The attempt ended with no verdict on the model: it was cancelled, or the request itself was wrong."""
        breaker = self._breakers.get(permit.model)
        if breaker is not None and breaker.trial is permit:
            breaker.trial = None
