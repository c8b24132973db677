"""Parameters that a model refuses: send the request without them, and remember it for that model.

Newer models want `max_completion_tokens` for `max_tokens` and take no `temperature`. A table of models would be out of
date tomorrow; the upstream says itself what it refuses: a parameter, or a value of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm.errors import UnsupportedParameter
from llm.json_values import Json, write_json
from llm.routing.route import ModelRef

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
MAX_VALUES = 16
"""Of a parameter that a model takes, but not with these values; the one that was refused first makes room."""


@dataclass(slots=True)
class _Refused:
    """What one model has refused: parameters, and the marks of values of parameters that it takes otherwise."""

    parameters: set[str] = field(default_factory=set)
    values: dict[str, list[int]] = field(default_factory=dict)

    def has(self, name: str, value: object) -> bool:
        return name in self.parameters or (name in self.values and _mark(value) in self.values[name])


class RefusedParameters:
    """What each model has refused so far, in this process."""

    def __init__(self) -> None:
        self._refused: dict[ModelRef, _Refused] = {}

    def learn(self, model: ModelRef, error: UnsupportedParameter, sent: Mapping[str, object]) -> bool:
        """Remember what a model refused of the body that was `sent` to it. Is it worth asking again?

        Calls that were under way when the first of them was refused bring the same news again, and are asked again too.
        A value is remembered as a value: another caller's may be one that the model takes.
        """
        parameter = error.parameter
        refused = self._refused.get(model) or _Refused()
        if parameter not in sent:
            return False
        if parameter in DROPPED and error.value_only:
            marks = refused.values.setdefault(parameter, [])
            if (mark := _mark(sent[parameter])) not in marks:
                refused.values[parameter] = [*marks, mark][-MAX_VALUES:]
        elif parameter in DROPPED or (parameter in RENAMED and RENAMED[parameter] not in refused.parameters):
            if error.value_only:  # the other name would not make the number a better one
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


def _mark(value: object) -> int:
    """Stands for a value, however long it is."""
    return hash(write_json(value))
