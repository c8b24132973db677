"""JSON that fits a schema: the arguments of a simulated tool call, and a simulated structured output."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from llm.simulator.openai_errors import Refusal

# The value of every text whose format does not matter.
_TEXT: Final = "simulated"

# The longest text or array that is made up, and how many values altogether. A schema may ask for any number.
_MAX_LENGTH: Final = 1_000
_MAX_VALUES: Final = 10_000

_BOUNDS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
}
_TEXTS_BY_FORMAT: Final[Mapping[str, str]] = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class _Unfit(Exception):
    """No value of a limited size fits."""


def fitting_json(schema: object, *, param: str) -> str:
    """JSON text for a small value that fits the schema. It has what is required and nothing else.

    Knows the keywords that OpenAI's strict schemas may have, except `pattern`. Makes no length above 1,000 and no more
    than 10,000 values. If `schema` is not an object, the answer is `{}`. Raises Refusal (400) for `param` if no such
    value fits.
    """
    if not isinstance(schema, dict):
        return "{}"
    try:
        return json.dumps(_Sampler(schema).value(schema, ()))
    except (_Unfit, RecursionError, ArithmeticError, ValueError):  # the last two come from bounds like infinity
        raise Refusal(400, "No value fits the schema.", code="invalid_json_schema", param=param) from None


def json_answer(form: object, schema: object, *, param: str) -> str | None:
    """The answer in a format: `json_schema` with its schema, or `json_object`. None if the format is no JSON."""
    if form == "json_schema":
        return fitting_json(schema, param=param)
    return json.dumps({"answer": _TEXT}) if form == "json_object" else None


class _Sampler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._values_left = _MAX_VALUES

    def value(self, schema: object, within: tuple[str, ...]) -> object:
        """A value for `schema`. `within` has the references that led here, to find one that contains itself."""
        self._values_left -= 1
        if self._values_left < 0:
            raise RecursionError  # not _Unfit, because then the next alternative would be tried
        if not isinstance(schema, dict):
            return _TEXT
        if isinstance(reference := schema.get("$ref"), str):
            if reference in within:
                raise _Unfit
            return self.value(self._resolve(reference), (*within, reference))
        if "const" in schema:
            return schema["const"]
        if isinstance(choices := schema.get("enum"), list) and choices:
            return choices[0]
        for alternatives in (schema.get("anyOf"), schema.get("oneOf")):
            if isinstance(alternatives, list) and alternatives:
                return self._first_that_fits(alternatives, within)
        if isinstance(every := schema.get("allOf"), list) and len(every) == 1:
            return self.value(every[0], within)
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list):
            return self._first_that_fits([schema | {"type": each} for each in kind], within)
        return self._of_kind(kind, schema, within)

    def _of_kind(self, kind: object, schema: Mapping[str, Any], within: tuple[str, ...]) -> object:
        match kind:
            case "object":
                return self._object(schema, within)
            case "array":
                return [self.value(schema.get("items"), within) for _ in range(_number(schema, "minItems", 0))]
            case "boolean":
                return True
            case "null":
                return None
            case "integer" | "number":
                return _a_number(schema)
            case _:
                text = _TEXTS_BY_FORMAT.get(str(schema.get("format")), _TEXT)
                text = text.ljust(_number(schema, "minLength", 0), ".")
                return text[: _number(schema, "maxLength", _MAX_LENGTH)]

    def _object(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> dict[str, object]:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, dict) or not isinstance(required, list):
            return {}
        return {name: self.value(properties.get(name), within) for name in required if isinstance(name, str)}

    def _first_that_fits(self, alternatives: list[Any], within: tuple[str, ...]) -> object:
        for each in alternatives:
            try:
                return self.value(each, within)
            except _Unfit:
                continue
        raise _Unfit

    def _resolve(self, reference: str) -> object:
        """The schema that a reference like `#/$defs/Step` stands for."""
        found: object = self._root
        for name in reference.removeprefix("#").split("/")[1:]:
            if not isinstance(found, dict) or name not in found:
                raise _Unfit
            found = found[name]
        return found


def _number(schema: Mapping[str, Any], name: str, default: int) -> int:
    value = schema.get(name, default)
    if not isinstance(value, int) or not 0 <= value <= _MAX_LENGTH:
        raise _Unfit
    return value


def _a_number(schema: Mapping[str, Any]) -> float:
    """The first of a few likely numbers that is within the bounds. Raises _Unfit if none of them is."""
    bounds = {name: value for name in _BOUNDS if isinstance(value := schema.get(name), (int, float))}
    least = max((bounds[name] for name in ("minimum", "exclusiveMinimum") if name in bounds), default=None)
    most = min((bounds[name] for name in ("maximum", "exclusiveMaximum") if name in bounds), default=None)
    likely: list[float] = [1, 0]
    for bound in (least, most):
        if bound is not None:
            likely += [bound, math.floor(bound) + 1, math.ceil(bound) - 1]
    if least is not None and most is not None:
        likely.append((least + most) / 2)
    if isinstance(multiple := schema.get("multipleOf"), (int, float)):
        likely = [multiple, *(multiple * (each // multiple + 1) for each in likely if multiple)]
    for each in likely:
        whole = schema.get("type") != "integer" or float(each).is_integer()
        if whole and all(_BOUNDS[name](each, bound) for name, bound in bounds.items()):
            return each
    raise _Unfit
