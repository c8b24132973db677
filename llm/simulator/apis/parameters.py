"""Reading the parameters that requests of several of OpenAI's APIs have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llm.simulator.openai_errors import Refusal


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises Refusal (400) if there is none."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(payload, dict):
        raise Refusal(400, "The body of the request must be a JSON object.")
    return payload


def model_name(payload: Mapping[str, Any]) -> str:
    """The model that is asked for. Raises Refusal (400) if none is."""
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter", param="model")
    return model


def flag(payload: Mapping[str, Any], name: str) -> bool:
    """Whether the parameter is true. Null counts as false. Raises Refusal (400) if it is neither."""
    value = payload.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refusal(400, f"'{name}' must be a boolean.", code="invalid_type", param=name)
    return bool(value)


def count(payload: Mapping[str, Any], name: str, *, least: int = 1) -> int | None:
    """The parameter as a whole number, None if absent or null. Raises Refusal (400) for anything else."""
    value = payload.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refusal(400, f"'{name}' must be a whole number, {least} or more.", code="invalid_value", param=name)
    return value


def wants_usage(payload: Mapping[str, Any]) -> bool:
    """Whether the request wants a stream to end with the usage."""
    options = payload.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def text_of(content: object) -> str:
    """The text of a message's content, which is either a text or a list of parts of which some have a text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def texts_or_tokens(value: object, *, param: str) -> list[str | list[int]]:
    """A text, tokens, or a list of either, always as a list. Raises Refusal (400) for `param` if it is none of them."""
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
