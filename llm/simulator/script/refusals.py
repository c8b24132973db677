"""The refusals that a behaviour asks for: of parameters, of their values, and of prompts that are too long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from llm.simulator.openai_errors import Refusal
from llm.simulator.script.behaviour import Behaviour

# OpenAI's default values. A model that refuses a parameter's value still takes these.
_DEFAULT_VALUES: Final[Mapping[str, float]] = {
    "temperature": 1,
    "top_p": 1,
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}


def check_supported(payload: Mapping[str, Any], behaviour: Behaviour, replaced_by: Mapping[str, str]) -> None:
    """Raise Refusal if the request has a parameter, or a value of one, that the behaviour refuses.

    The status is 400, or the scripted one for a parameter that is forbidden. `replaced_by` says which parameter to use
    instead, where the API has one.
    """
    for name in behaviour.forbid:
        if name in payload:
            extra = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
            body = behaviour.forbid_body or {"object": "error", "message": {"detail": [extra]}, "code": None}
            raise Refusal(behaviour.forbid_status, f"'{name}' is forbidden.", body=body)
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
    """Raise Refusal (400), which names the prompt's field, if the prompt has more tokens than `window`."""
    if window is not None and prompt_tokens > window:
        raise Refusal(
            400,
            f"This model's maximum context length is {window} tokens. However, your {prompt_field} resulted in "
            f"{prompt_tokens} tokens. Please reduce the length of the {prompt_field}.",
            code="context_length_exceeded",
            param=prompt_field,
        )
