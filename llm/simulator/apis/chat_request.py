"""A request for a chat completion, checked as far as the simulator needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from llm.simulator.apis.parameters import count, flag, model_name, text_of, wants_usage
from llm.simulator.generation.json_sample import json_answer
from llm.simulator.generation.model_output import Prompt
from llm.simulator.generation.tokens import approximate_tokens
from llm.simulator.generation.tool_call import ToolCall, call_of
from llm.simulator.openai_errors import Refusal


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The parameters that the simulator uses."""

    prompt: Prompt
    stream: bool
    include_usage: bool
    choices: int

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Raises Refusal (400), which names the wrong parameter."""
        messages = payload.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
            raise Refusal(400, "'messages' must be a list of at least one message.", param="messages")
        texts = [text_of(each.get("content")) for each in messages]
        from_user = [text for each, text in zip(messages, texts, strict=True) if each.get("role") == "user"]
        limits = [count(payload, name) for name in ("max_completion_tokens", "max_tokens")]
        return cls(
            prompt=Prompt(
                model=model_name(payload),
                tokens=approximate_tokens("".join(texts)),
                last_user_text=from_user[-1] if from_user else "",
                max_tokens=min((limit for limit in limits if limit is not None), default=None),
                tool=_tool_call(payload, messages[-1]),
                json_text=_json_text(payload.get("response_format")),
            ),
            stream=flag(payload, "stream"),
            include_usage=wants_usage(payload),
            choices=count(payload, "n") or 1,
        )


def _tool_call(payload: Mapping[str, Any], last_message: Mapping[str, Any]) -> ToolCall | None:
    tools, choice = payload.get("tools"), payload.get("tool_choice")
    # A model that has a tool's result answers in words. If it called again, an agent would never come to an end.
    if not isinstance(tools, list) or choice == "none" or last_message.get("role") == "tool":
        return None
    functions = (tool.get("function") for tool in tools if isinstance(tool, dict))
    chosen = choice.get("function") if isinstance(choice, dict) else None
    wanted = chosen.get("name") if isinstance(chosen, dict) else None
    return call_of((each for each in functions if isinstance(each, dict)), wanted)


def _json_text(form: object) -> str | None:
    if not isinstance(form, dict):
        return None
    described = form.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    return json_answer(form.get("type"), schema, param="response_format")
