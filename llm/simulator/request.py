"""What the requests of all of OpenAI's APIs have in common, validated as far as the simulator needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from llm.simulator.behaviour import Behaviour
from llm.simulator.openai_errors import Refusal

_DEFAULT_VALUES: Final[Mapping[str, float]] = {
    "temperature": 1,
    "top_p": 1,
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises Refusal (400)."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(payload, dict):
        raise Refusal(400, "The body of the request must be a JSON object.")
    return payload


def model_name(payload: Mapping[str, Any]) -> str:
    """The model that is asked for. Raises Refusal (400)."""
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter", param="model")
    return model


def flag(payload: Mapping[str, Any], name: str) -> bool:
    """Whether the parameter is true. Raises Refusal (400) for one that is neither true, false, null nor absent."""
    value = payload.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refusal(400, f"'{name}' must be a boolean.", code="invalid_type", param=name)
    return bool(value)


def count(payload: Mapping[str, Any], name: str, *, least: int = 1) -> int | None:
    """The whole number, or None if there is none. Raises Refusal (400) for one below `least`, and for anything else."""
    value = payload.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refusal(400, f"'{name}' must be a whole number, {least} or more.", code="invalid_value", param=name)
    return value


def wants_usage(payload: Mapping[str, Any]) -> bool:
    """Whether a stream shall end with the usage."""
    options = payload.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def text_of(content: object) -> str:
    """The text of a message's content: a text itself, or a list of parts of which some have one."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def texts_or_tokens(value: object, *, param: str) -> list[str | list[int]]:
    """A text, tokens, or a list of either, always as a list. Raises Refusal (400), naming `param`."""
    if isinstance(value, str) or _are_tokens(value):
        value = [value]
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(each, str) or _are_tokens(each) for each in value)
    ):
        raise Refusal(400, f"'{param}' must be a text, a list of texts, or tokens.", param=param)
    return value


def _are_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(token, int) for token in value)


def check_supported(payload: Mapping[str, Any], behaviour: Behaviour, replaced_by: Mapping[str, str]) -> None:
    """Raises Refusal (400) for a parameter, or for its value, that the simulated model is scripted to refuse.

    `replaced_by` has the parameter to use instead, where the API has one.
    """
    for name in behaviour.refuse:
        if payload.get(name) is not None:
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            if name in replaced_by:
                message += f" Use '{replaced_by[name]}' instead."
            raise Refusal(400, message, code="unsupported_parameter", param=name)
    for name in behaviour.refuse_values:
        value = payload.get(name)
        default = _DEFAULT_VALUES.get(name)
        if value is None or value == default:
            continue
        message = f"Unsupported value: '{name}' does not support {json.dumps(value)} with this model."
        if default is not None:
            message += f" Only the default ({default}) value is supported."
        raise Refusal(400, message, code="unsupported_value", param=name)


def check_context_window(prompt_tokens: int, window: int | None, *, prompt_field: str) -> None:
    """Raises Refusal (400), naming the field of the prompt, for one of more tokens than `window`."""
    if window is not None and prompt_tokens > window:
        raise Refusal(
            400,
            f"This model's maximum context length is {window} tokens. However, your {prompt_field} resulted in "
            f"{prompt_tokens} tokens. Please reduce the length of the {prompt_field}.",
            code="context_length_exceeded",
            param=prompt_field,
        )
