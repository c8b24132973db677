"""What a model is called where everybody may look: in metrics, and in the answer of /health/ready."""

from __future__ import annotations

from collections.abc import Iterable

from llm import AttemptStatus, BreakerState, CallOutcome, Engine

OTHER = "other"
MAX_MODELS = 200
"""A label's values must be bounded, and callers may name any model: one that never answered is `other`."""
WORST_FIRST = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)


class ModelLabels:
    """Knows the `configured` models, which the settings name, and those that have answered."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._models = set(configured)

    def saw(self, outcome: CallOutcome) -> None:
        for attempt in outcome.attempts:
            if attempt.status is AttemptStatus.SUCCEEDED and len(self._models) < MAX_MODELS:
                self._models.add(attempt.model)

    def of(self, model: str) -> str:
        return model if model in self._models else OTHER

    def breaker_states(self, engine: Engine) -> dict[tuple[str, str], BreakerState]:
        """The breakers that are not closed, by provider and label; of those that share a label, the worst."""
        providers = engine.config.providers
        states: dict[tuple[str, str], BreakerState] = {}
        for model, state in engine.breaker_states().items():
            name = (providers[model.provider].name, self.of(model.name))
            states[name] = min(state, states.get(name, state), key=WORST_FIRST.index)
        return states
