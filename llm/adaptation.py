"""Parameters that a model refuses: send the request without them, and remember it for that model.

Newer models want `max_completion_tokens` for `max_tokens` and take no `temperature`. A table of models would be out of
date tomorrow; the upstream says itself what it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm.types import Json, ModelRef

RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names of one limit. It must not be dropped, so it is sent under the other name."""

DROPPED = frozenset(
    {
        "temperature",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "seed",
        "parallel_tool_calls",
        "reasoning_effort",
        "verbosity",
        "stream_options",
        "user",
        "store",
        "metadata",
    }
)
"""Parameters that steer the answer but do not say what is asked for: without them it is still an answer."""

MAX_MODELS = 1_000


class RefusedParameters:
    """What each model has refused so far, in this process."""

    def __init__(self) -> None:
        self._refused: dict[ModelRef, frozenset[str]] = {}

    def learn(self, model: ModelRef, parameter: str, body: Mapping[str, object]) -> bool:
        """Remember that a model refused `parameter` of `body`. False if it can't be adapted, or was already."""
        known = self._refused.get(model, frozenset())
        adaptable = parameter in DROPPED or (parameter in RENAMED and RENAMED[parameter] not in known)
        if not adaptable or parameter in known or parameter not in self.adapt(model, body):
            return False
        self._refused[model] = known | {parameter}
        while len(self._refused) > MAX_MODELS:
            del self._refused[next(iter(self._refused))]
        return True

    def adapt(self, model: ModelRef, body: Mapping[str, object]) -> Json:
        """The body as this model takes it."""
        refused = self._refused.get(model)
        if not refused:
            return dict(body)
        adapted = {name: value for name, value in body.items() if name not in refused}
        for name in refused & RENAMED.keys() & body.keys():
            adapted.setdefault(RENAMED[name], body[name])
        return adapted
