"""The names of models in metrics and in the answer of /health/ready, both of which are read without an API key."""

from __future__ import annotations

from collections.abc import Iterable

from llm import AttemptStatus, BreakerState, CallOutcome, Engine

# The label of a model that has never answered and that the settings do not name. Callers may name any model, and the
# number of different labels must stay bounded.
OTHER = "other"
# The most models that have a label of their own.
MAX_MODELS = 200

WORST_FIRST = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)


class ModelLabels:
    """The `configured` models, which the settings name, and those that have answered have labels of their own."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._models = set(configured)

    def saw(self, outcome: CallOutcome) -> None:
        """Learn which models have answered."""
        for attempt in outcome.attempts:
            if attempt.status is AttemptStatus.SUCCEEDED and len(self._models) < MAX_MODELS:
                self._models.add(attempt.model)

    def of(self, model: str) -> str:
        """The label of a model."""
        return model if model in self._models else OTHER

    def breaker_states(self, engine: Engine) -> dict[tuple[str, str], BreakerState]:
        """The breakers that are not closed, by provider and label. Models that share a label show their worst state."""
        providers = engine.config.providers
        states: dict[tuple[str, str], BreakerState] = {}
        for model, state in engine.breaker_states().items():
            name = (providers[model.provider].name, self.of(model.name))
            states[name] = min(state, states.get(name, state), key=WORST_FIRST.index)
        return states
