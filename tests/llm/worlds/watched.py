"""The engine's own parts, watched: they note what they do, and do what they always do."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from llm import ModelOperation, ModelRef
from llm.calls.asking import Asking, Success
from llm.calls.call import Call
from llm.calls.reading_on import LateAnswer, ReadingOn
from llm.routing.circuit_breaker import CircuitBreakers, Permit
from llm.routing.hedging import HedgeBudget
from llm.routing.walk import Race
from tests.llm.worlds.history import Racer, now


class WatchedAsking:
    """Notes the racers of a call: also the skipped ones, which no upstream sees."""

    def __init__(self, asking: Asking, racers: list[Racer]) -> None:
        self._asking = asking
        self._racers = racers
        self.lose = asking.lose

    async def ask(self, model: ModelRef, race: Race) -> Success:
        racer = Racer(model.name, race, now())
        self._racers.append(racer)
        try:
            racer.success = await self._asking.ask(model, race)
        except BaseException as error:
            racer.error = error
            raise
        finally:
            racer.ended = now()
        return racer.success


class WatchedCall(Call):
    """A call whose racers are noted."""

    def watch(self, racers: list[Racer]) -> None:
        """Must be called before the call's task has taken its first step."""
        self._asking = WatchedAsking(self._asking, racers)  # type: ignore[assignment]


class WatchedBreakers(CircuitBreakers):
    """Counts the trials of each model that are under way. When a breaker closes, what was its trial is one no more."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.permits: list[Permit] = []
        self.trials: dict[ModelOperation, list[Permit]] = defaultdict(list)
        self.most_trials = 0

    def admit(self, target: ModelOperation, caller: str = "") -> Permit | None:
        permit = super().admit(target, caller)
        if permit is not None and permit.is_trial:
            self.permits.append(permit)
            self.trials[target].append(permit)
            self.most_trials = max(self.most_trials, len(self.trials[target]))
        return permit

    def succeeded(self, permit: Permit) -> None:
        self._verdict(permit)
        self.trials[permit.target].clear()
        super().succeeded(permit)

    def failed(self, permit: Permit, *, retry_after: float | None = None, certain: bool = False) -> None:
        self._verdict(permit)
        super().failed(permit, retry_after=retry_after, certain=certain)

    def released(self, permit: Permit) -> None:
        self._verdict(permit)
        super().released(permit)

    def _verdict(self, permit: Permit) -> None:
        """A trial has exactly one."""
        if permit.is_trial:
            self.permits = _without(self.permits, permit)
            self.trials[permit.target] = [trial for trial in self.trials[permit.target] if trial is not permit]


def _without(permits: list[Permit], permit: Permit) -> list[Permit]:
    left = [one for one in permits if one is not permit]
    assert len(left) == len(permits) - 1, "a second verdict on one trial"
    return left


class WatchedBudget(HedgeBudget):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[float] = []
        self.grants: list[float] = []

    def call_started(self) -> None:
        self.calls.append(now())
        super().call_started()

    def allow(self) -> bool:
        allowed = super().allow()
        if allowed:
            self.grants.append(now())
        return allowed


class WatchedReadingOn(ReadingOn):
    """Counts what is read on at once."""

    most = 0

    def _read_on(self, late: LateAnswer) -> None:
        super()._read_on(late)
        self.most = max(self.most, len(self))
