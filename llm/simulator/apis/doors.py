"""The APIs that ask a model: OpenAI's paths, and what reads a request of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llm.simulator.answer import Asked
from llm.simulator.apis.chat_completion import ask_chat
from llm.simulator.apis.embeddings import ask_embeddings
from llm.simulator.apis.response_answer import ask_response
from llm.simulator.apis.text_completion import ask_text


@dataclass(frozen=True, slots=True)
class Door:
    """An API: `read` raises Refusal (400), `prompt_field` is blamed for a prompt that is too long."""

    read: Callable[[Mapping[str, Any]], Asked]
    prompt_field: str
    replaced_by: Mapping[str, str] = field(default_factory=dict)
    """Parameters that OpenAI's newer models refuse, with what it has in their place."""


DOORS: Final[Mapping[str, Door]] = {
    "/v1/chat/completions": Door(
        ask_chat,
        "messages",
        {"max_tokens": "max_completion_tokens", "functions": "tools", "function_call": "tool_choice"},
    ),
    "/v1/responses": Door(
        ask_response,
        "input",
        {
            "max_tokens": "max_output_tokens",
            "max_completion_tokens": "max_output_tokens",
            "response_format": "text.format",
        },
    ),
    "/v1/completions": Door(ask_text, "prompt"),
    "/v1/embeddings": Door(ask_embeddings, "input"),
}
"""By path; all of them take POST alone."""
