"""Parameters that a model refuses: the request is sent without them, and that is remembered for the model.

Newer models want `max_completion_tokens` in place of `max_tokens` and take no `temperature`. A table of models would
soon be out of date, and is not needed: the upstream itself says which parameter it refuses, or which value of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm.errors import UnsupportedParameter
from llm.json_values import Json, write_json
from llm.routing.route import ModelRef

# The two names of one limit. The limit must not be dropped, so it is sent under its other name.
RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}

# Parameters that influence the answer but do not say what is asked for. Without them it is still an answer.
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
# How many models are remembered. Callers may name any model, so there must be a limit. The oldest is forgotten.
MAX_MODELS = 1_000

# How many refused values are remembered for each parameter of a model. The oldest is forgotten.
MAX_VALUES = 16


@dataclass(slots=True)
class _Refused:
    """What one model has refused: parameters, and values of parameters that it takes with other values.

    In place of a value its hash is kept, because a value may be long.
    """

    parameters: set[str] = field(default_factory=set)
    values: dict[str, list[int]] = field(default_factory=dict)

    def has(self, name: str, value: object) -> bool:
        return name in self.parameters or (name in self.values and _hash(value) in self.values[name])


class RefusedParameters:
    """What each model has refused so far, in this process."""

    def __init__(self) -> None:
        self._refused: dict[ModelRef, _Refused] = {}

    def learn(self, model: ModelRef, error: UnsupportedParameter, sent: Mapping[str, object]) -> bool:
        """Remember what a model refused of the body that was `sent` to it. Returns whether to ask the model again.

        Several calls may be under way when the first of them is refused. The others report the same refusal later, and
        the model is asked again for them too. If only a value is refused, only that value is remembered, because the
        value of another caller may be one that the model takes.
        """
        parameter = error.parameter
        refused = self._refused.get(model) or _Refused()
        if parameter not in sent:
            return False
        if parameter in DROPPED and error.value_only:
            hashes = refused.values.setdefault(parameter, [])
            if (value := _hash(sent[parameter])) not in hashes:
                refused.values[parameter] = [*hashes, value][-MAX_VALUES:]
        elif parameter in DROPPED or (parameter in RENAMED and RENAMED[parameter] not in refused.parameters):
            if error.value_only:  # the number is wrong, whatever its name is
                return False
            refused.parameters.add(parameter)
        else:
            return False
        self._refused[model] = refused
        while len(self._refused) > MAX_MODELS:
            del self._refused[next(iter(self._refused))]
        return True

    def adapt(self, model: ModelRef, body: Mapping[str, object]) -> Json:
        """The body as this model takes it."""
        refused = self._refused.get(model)
        if refused is None:
            return dict(body)
        adapted = {name: value for name, value in body.items() if not refused.has(name, value)}
        for name in refused.parameters & RENAMED.keys() & body.keys():
            adapted.setdefault(RENAMED[name], body[name])
        return adapted


def _hash(value: object) -> int:
    return hash(write_json(value))
