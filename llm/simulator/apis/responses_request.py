"""A request of the Responses API, checked as far as the simulator needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from llm.simulator.apis.parameters import count, flag, model_name, text_of
from llm.simulator.generation.json_sample import json_answer
from llm.simulator.generation.model_output import Prompt
from llm.simulator.generation.tokens import approximate_tokens
from llm.simulator.generation.tool_call import ToolCall, call_of
from llm.simulator.openai_errors import Refusal

# Parameters that a response repeats, with OpenAI's defaults.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}

# A request with one of these needs no input.
_INSTEAD_OF_INPUT: Final = ("previous_response_id", "prompt", "conversation")


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """The parameters that the simulator uses. `repeated` has those that the response repeats."""

    prompt: Prompt
    stream: bool
    repeated: Mapping[str, Any]

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Raises Refusal (400), which names the wrong parameter."""
        items = _items(payload)
        texts = [_text(item) for item in items]
        from_user = [text for item, text in zip(items, texts, strict=True) if item.get("role") == "user"]
        instructions = payload.get("instructions")
        said_first = instructions if isinstance(instructions, str) else ""
        return cls(
            prompt=Prompt(
                model=model_name(payload),
                tokens=approximate_tokens(said_first + "".join(texts)),
                last_user_text=from_user[-1] if from_user else "",
                max_tokens=count(payload, "max_output_tokens"),
                tool=_tool_call(payload, items),
                json_text=_json_text(payload.get("text")),
            ),
            stream=flag(payload, "stream"),
            repeated={
                name: default if payload.get(name) is None else payload[name] for name, default in _DEFAULTS.items()
            },
        )


def _items(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The input as a list of items. A text counts as a message of the user."""
    value = payload.get("input")
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if value is None and any(payload.get(name) is not None for name in _INSTEAD_OF_INPUT):
        return []
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise Refusal(400, "'input' must be a text, or a list of at least one item.", param="input")
    return value


def _text(item: Mapping[str, Any]) -> str:
    """The text of an item: the content of a message, the arguments of a call, or the output of a call."""
    arguments = item.get("arguments")
    return (
        text_of(item.get("content")) + text_of(item.get("output")) + (arguments if isinstance(arguments, str) else "")
    )


def _tool_call(payload: Mapping[str, Any], items: list[Mapping[str, Any]]) -> ToolCall | None:
    tools, choice = payload.get("tools"), payload.get("tool_choice")
    # A model that has a tool's result answers in words. If it called again, an agent would never come to an end.
    answered = bool(items) and items[-1].get("type") == "function_call_output"
    if not isinstance(tools, list) or choice == "none" or answered:
        return None
    functions = (tool for tool in tools if isinstance(tool, dict) and tool.get("type") == "function")
    return call_of(functions, choice.get("name") if isinstance(choice, dict) else None)


def _json_text(text: object) -> str | None:
    form = text.get("format") if isinstance(text, dict) else None
    return json_answer(form.get("type"), form.get("schema"), param="text.format") if isinstance(form, dict) else None
