"""A chat completion request, validated as far as the simulator needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from llm.simulator.behaviour import Behaviour
from llm.simulator.openai_errors import Refusal

_DEFAULT_VALUES: Final[Mapping[str, float]] = {
    "temperature": 1,
    "top_p": 1,
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}
_REPLACED_BY: Final[Mapping[str, str]] = {
    "max_tokens": "max_completion_tokens",
    "functions": "tools",
    "function_call": "tool_choice",
}
_SAMPLES: Final[Mapping[str, object]] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}


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


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the simulated model makes; `arguments` is JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the simulator makes use of."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    stream: bool
    include_usage: bool
    choices: int
    max_tokens: int | None
    tool: ToolCall | None
    """A call that would be in place: of the first function tool."""

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Raises Refusal (400) with `param` set."""
        messages = payload.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
            raise Refusal(400, "'messages' must be a list of at least one message.", param="messages")
        stream = payload.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise Refusal(400, "'stream' must be a boolean.", code="invalid_type", param="stream")
        options = payload.get("stream_options")
        limits = [_count(payload, name) for name in ("max_completion_tokens", "max_tokens")]
        return cls(
            model=model_name(payload),
            messages=tuple(messages),
            stream=bool(stream),
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            choices=_count(payload, "n") or 1,
            max_tokens=min((limit for limit in limits if limit is not None), default=None),
            tool=_tool_call(payload, messages[-1]),
        )

    @property
    def prompt_tokens(self) -> int:
        """An approximation: a token for four characters of all the messages' text, and at least one."""
        return approximate_tokens("".join(_text(message) for message in self.messages))

    @property
    def last_user_text(self) -> str:
        """The text of the last message of the user, or nothing."""
        return next((_text(each) for each in reversed(self.messages) if each.get("role") == "user"), "")


def approximate_tokens(text: str) -> int:
    """A token for four characters, and at least one."""
    return max(1, len(text) // 4)


def check_supported(payload: Mapping[str, Any], behaviour: Behaviour) -> None:
    """Raises Refusal (400) for a parameter, or for its value, that the simulated model is scripted to refuse."""
    for name in behaviour.refuse:
        if payload.get(name) is not None:
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            if name in _REPLACED_BY:
                message += f" Use '{_REPLACED_BY[name]}' instead."
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


def check_context_window(prompt_tokens: int, window: int | None) -> None:
    """Raises Refusal (400) for a prompt of more tokens than `window`."""
    if window is not None and prompt_tokens > window:
        raise Refusal(
            400,
            f"This model's maximum context length is {window} tokens. However, your messages resulted in "
            f"{prompt_tokens} tokens. Please reduce the length of the messages.",
            code="context_length_exceeded",
            param="messages",
        )


def _count(payload: Mapping[str, Any], name: str) -> int | None:
    value = payload.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refusal(400, f"'{name}' must be a whole number, 1 or more.", code="invalid_value", param=name)
    return value


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _tool_call(payload: Mapping[str, Any], last_message: Mapping[str, Any]) -> ToolCall | None:
    tools = payload.get("tools")
    # A model that has the tool's result answers with it; calling again would keep an agent in a loop for ever.
    if not isinstance(tools, list) or payload.get("tool_choice") == "none" or last_message.get("role") == "tool":
        return None
    functions = (tool.get("function") for tool in tools if isinstance(tool, dict))
    function = next((each for each in functions if isinstance(each, dict)), None)
    if function is None:
        return None
    return ToolCall(str(function.get("name")), json.dumps(_arguments(function.get("parameters"))))


def _arguments(schema: object) -> dict[str, object]:
    """A value of the right type for every required parameter at the top of a JSON schema."""
    if not isinstance(schema, dict):
        return {}
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return {}
    return {name: _sample(properties.get(name)) for name in required if isinstance(name, str)}


def _sample(schema: object) -> object:
    if not isinstance(schema, dict):
        return "simulated"
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    kind = schema.get("type")
    return _SAMPLES.get(kind, "simulated") if isinstance(kind, str) else "simulated"
