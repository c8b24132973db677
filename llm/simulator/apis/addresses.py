"""The addresses that ask a model, and the API at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llm.simulator.answer import ParsedRequest
from llm.simulator.apis.chat_answer import parse_chat
from llm.simulator.apis.completions_answer import parse_completions
from llm.simulator.apis.embeddings_answer import parse_embeddings
from llm.simulator.apis.responses_answer import parse_responses


@dataclass(frozen=True, slots=True)
class Api:
    """One API. `parse` reads the JSON body of a request and raises Refusal (400) if it is not valid.

    `prompt_field` is the parameter that the error names if the prompt is too long. `replaced_by` has the parameters
    that OpenAI's newer models refuse, each with the parameter to use instead.
    """

    parse: Callable[[Mapping[str, Any]], ParsedRequest]
    prompt_field: str
    replaced_by: Mapping[str, str] = field(default_factory=dict)


# By path. All of them take POST only.
APIS: Final[Mapping[str, Api]] = {
    "/v1/chat/completions": Api(
        parse_chat,
        "messages",
        {"max_tokens": "max_completion_tokens", "functions": "tools", "function_call": "tool_choice"},
    ),
    "/v1/responses": Api(
        parse_responses,
        "input",
        {
            "max_tokens": "max_output_tokens",
            "max_completion_tokens": "max_output_tokens",
            "response_format": "text.format",
        },
    ),
    "/v1/completions": Api(parse_completions, "prompt"),
    "/v1/embeddings": Api(parse_embeddings, "input"),
}
