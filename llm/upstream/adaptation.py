"""What is left out of a body because its model refuses it, and for how long that is remembered.

Newer models want `max_completion_tokens` in place of `max_tokens` and take no `temperature`; some servers refuse
`stream_options`, which the engine adds to each stream. A table of models would soon be out of date, and is not needed:
the upstream itself says which parameter it refuses, or which value of one.

- What the service has added to the body is taken back, whatever the words of the refusal are, as long as they name it.
- What the caller has sent is left out, or sent under its other name, only if the upstream says that it does not support
  it. A call with another value of it is asked with its own value first.

Something is remembered only when the request has got on without it, so that no caller can make the others go without
a field by a request that names it in some other mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from llm.errors import InvalidRequest, NotSupported, UnsupportedParameter, UpstreamError, UpstreamFailed
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

# Fields inside of a parameter by which an upstream may name it.
INSIDE = {"stream_options": ("include_usage",)}

# How long a refusal is remembered, in seconds. Servers are updated, and a name may stand for another model tomorrow.
REMEMBERED_SECONDS = 3_600.0

# How many models are remembered. Callers may name any model, so there must be a limit. The oldest is forgotten.
MAX_MODELS = 1_000

# How many refused values are remembered for each parameter of a model. The oldest is forgotten.
MAX_VALUES = 16


class RefusedParameters:
    """What each model has refused lately, in this process. `clock` is in seconds, and monotonic.

    A parameter is remembered with the value that was refused: in place of a value stands its hash, because it may be
    long, and 0 for a parameter that goes on under its other name, whatever its value is.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        # By model and parameter: until when each value is remembered.
        self._until: dict[ModelRef, dict[str, dict[int, float]]] = {}

    def learn(self, model: ModelRef, parameter: str, value_hash: int) -> None:
        """Remember a refused value of a parameter."""
        refused = self._until.pop(model, {})
        self._until[model] = refused
        values = refused.setdefault(parameter, {})
        values.pop(value_hash, None)
        values[value_hash] = self._clock() + REMEMBERED_SECONDS
        while len(values) > MAX_VALUES:
            del values[next(iter(values))]
        while len(self._until) > MAX_MODELS:
            del self._until[next(iter(self._until))]

    def forget(self, model: ModelRef, parameter: str) -> None:
        self._until.get(model, {}).pop(parameter, None)

    def known(self, model: ModelRef) -> dict[str, dict[int, float]]:
        """What is remembered of a model; empty for nearly all of them."""
        refused = self._until.get(model)
        if refused is None:
            return {}
        now = self._clock()
        for parameter, values in list(refused.items()):
            for value_hash in [each for each, until in values.items() if until <= now]:
                del values[value_hash]
            if not values:
                del refused[parameter]
        if not refused:
            del self._until[model]
        return refused

    def names(self) -> dict[ModelRef, list[str]]:
        """The names of the parameters that are left out at present, by model."""
        return {model: sorted(known) for model in list(self._until) if (known := self.known(model))}


class AdaptedBody:
    """The body for one model, while it is being found out which body the model takes.

    `asked` is the body with all that the service has added, and `own` is what the caller sent of it.
    """

    def __init__(
        self, refused: RefusedParameters, model: ModelRef, asked: Mapping[str, object], own: Mapping[str, object]
    ) -> None:
        self._refused = refused
        self._model = model
        self._own = own
        # What the model has refused in this call: each parameter, and the hash of its value as it is remembered.
        self._changes: list[tuple[str, int]] = []
        self.body: Json = dict(asked)
        for parameter, hashes in refused.known(model).items():
            if parameter not in self.body:
                continue
            if parameter in RENAMED:
                self._rename(parameter)
            elif _hash(self.body[parameter]) in hashes:
                self._take_out(parameter)

    def leave_out(self, error: UpstreamError) -> bool:
        """Change the body to what an error leaves of it. Returns whether to ask the model again, with this body."""
        parameter = self._refused_by(error)
        if not parameter:
            return False
        if parameter not in RENAMED:
            self._changes.append((parameter, _hash(self.body[parameter])))
            self._take_out(parameter)
            return True
        if (RENAMED[parameter], 0) in self._changes:  # it is refused by either name
            return False
        # If the name is ours, what was remembered is true no more.
        self._refused.forget(self._model, RENAMED[parameter])
        self._changes.append((parameter, 0))
        self._rename(parameter)
        return True

    def accepted(self) -> None:
        """The model has taken this body: remember what it had refused before."""
        for parameter, value_hash in self._changes:
            self._refused.learn(self._model, parameter, value_hash)

    def in_the_callers_words(self, error: UpstreamError) -> None:
        """Name a limit as the caller did in an error that is about its value."""
        for ours in RENAMED.keys() & self.body.keys() - self._own.keys():
            named = re.compile(rf"\b{ours}\b")
            error.message = named.sub(RENAMED[ours], error.message)
            error.parameter = named.sub(RENAMED[ours], error.parameter)
            for field in ("message", "param"):
                if error.body and isinstance(error.body.get(field), str):
                    error.body[field] = named.sub(RENAMED[ours], error.body[field])

    @property
    def _added(self) -> list[str]:
        """The parameters in the body that have their name or their value from the service.

        `stream_options` say only how to report, so they count as ours even if the caller sent the same. `stream` is the
        last one, because errors about the others speak of it.
        """
        ours = [
            name
            for name, value in self.body.items()
            if name == "stream_options" or name not in self._own or self._own[name] != value
        ]
        return sorted(ours, key=lambda name: name == "stream")

    def _refused_by(self, error: UpstreamError) -> str:
        """The parameter that an error refuses and that can be left out or renamed; empty if there is none."""
        named = _field_of(error)
        if isinstance(error, InvalidRequest | NotSupported | UpstreamFailed):
            for parameter in self._added:
                # An error that has a field for the name is believed, whatever else its words speak of.
                is_it = named == parameter if named in self.body else _is_in_words(parameter, error)
                if is_it and (parameter not in RENAMED or _is_refused_by_name(error)):
                    return parameter
        if not isinstance(error, UnsupportedParameter) or named not in self.body:
            return ""
        return named if named in DROPPED or (named in RENAMED and not error.value_only) else ""

    def _take_out(self, parameter: str) -> None:
        """Leave a parameter out. If only a part of its value was ours, the caller's own value is tried first."""
        value = self.body.pop(parameter)
        if parameter == "stream":
            self.body.pop("stream_options", None)
        if parameter in self._own and self._own[parameter] != value:
            self.body[parameter] = self._own[parameter]

    def _rename(self, parameter: str) -> None:
        self.body.setdefault(RENAMED[parameter], self.body.pop(parameter))


# How servers say that they do not know a parameter at all, whatever its value is.
_BY_NAME = re.compile(
    r"\b(?:un(?:supported|known|recogni[sz]ed|expected)|extra|additional"
    r"|not (?:supported|permitted|allowed|recogni[sz]ed))\b",
    re.IGNORECASE,
)


def _is_refused_by_name(error: UpstreamError) -> bool:
    """Whether an error refuses a parameter, and not only its value."""
    if isinstance(error, UnsupportedParameter):
        return not error.value_only
    return _BY_NAME.search(error.says) is not None


def _field_of(error: UpstreamError) -> str:
    """The field of the body in which an error has its reason, if it has a place for that; else empty."""
    return re.split(r"[.\[]", error.parameter)[0]


def _is_in_words(parameter: str, error: UpstreamError) -> bool:
    """Whether an error names a parameter in its words."""
    if parameter == "stream":  # a word that many errors use
        quoted = r"['\"`]stream['\"`]|\b(?:argument|parameter|field)s?\W+(?:supplied\W+)?stream\b"
        pattern = r"\bstream(?:ing)?\b" if isinstance(error, NotSupported) else quoted
        return re.search(pattern, error.says, re.IGNORECASE) is not None
    # Other names are English words too, and only a request that was refused is sure to speak of its own fields.
    if "_" not in parameter and not 400 <= (error.http_status or 0) < 500:
        return False
    names = "|".join(map(re.escape, (parameter, *INSIDE.get(parameter, ()))))
    return re.search(rf"(?<![\w-])(?:{names})(?![\w-])", error.says) is not None


def _hash(value: object) -> int:
    return hash(write_json(value))
