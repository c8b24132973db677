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

    def breaker_states(self, engine: Engine) -> dict[tuple[str, str, str], BreakerState]:
        """The breakers that are not closed, by provider, label and operation.

        Models that share a label show their worst state.
        """
        providers = engine.config.providers
        states: dict[tuple[str, str, str], BreakerState] = {}
        for target, state in engine.breaker_states().items():
            name = (providers[target.provider].name, self.of(target.name), target.operation)
            states[name] = min(state, states.get(name, state), key=WORST_FIRST.index)
        return states

    def refused_parameters(self, engine: Engine) -> dict[str, list[str]]:
        """By `provider/label`, the names of the parameters that are left out because a model has refused them."""
        providers = engine.config.providers
        refused: dict[str, set[str]] = {}
        for model, names in engine.refused_parameters().items():
            refused.setdefault(f"{providers[model.provider].name}/{self.of(model.name)}", set()).update(names)
        return {model: sorted(names) for model, names in refused.items()}
