"""Text completions, the API that came before chat. Source: OpenAI's API reference, "Create completion"."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from llm.costs.estimates import Prompt, read_input
from llm.json_values import Json
from llm.operations.accumulation import Accumulator, CompletionAccumulator
from llm.operations.chat.messages import content_text, message_in
from llm.operations.choices import (
    ChoicesReader,
    check_choices,
    choices_asked,
    choices_of,
    first_finish_reason,
    index_of,
    numbered,
    stream_body,
    usage_chunks,
    usages_of,
)
from llm.operations.operation import Operation, StreamReader


class Completions(Operation):
    name = "completions"
    path = "/completions"

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        return stream_body(body)

    def check(self, answer: Json, body: Mapping[str, Any]) -> None:
        check_choices(answer, body, _has_output)

    def reader(self, body: Mapping[str, Any]) -> StreamReader:
        asked = choices_asked(body) * _prompts_in(body.get("prompt"))
        return ChoicesReader(asked, has_output=_has_output, has_thoughts=lambda choice: False)

    def accumulator(self) -> Accumulator:
        return CompletionAccumulator()

    def output_texts(self, answer: Json) -> list[str]:
        return [text for choice in choices_of(answer) if (text := _text_of(choice))]

    def says_something(self, answer: Json) -> bool:
        return any(map(_has_output, choices_of(answer)))

    def text(self, answer: Json) -> str:
        return "".join(_text_of(choice) for choice in choices_of(answer) if index_of(choice) == 0)

    def finish_reason(self, answer: Json) -> str:
        return first_finish_reason(answer)

    def usages(self, answer: Json) -> list[Json]:
        return usages_of(answer)

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        return [{"role": "user", "content": body.get("prompt")}]

    def input_fields(self) -> frozenset[str]:
        return frozenset({"prompt"})

    def prompt(self, body: Mapping[str, Any], model: str = "") -> Prompt:
        return read_input(body.get("prompt"))

    def answer_of_text(self, text: str, model: str) -> Json | None:
        return {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}],
        }

    def chunks_of(self, answer: Json) -> list[Json]:
        choices = [{**choice, "index": index} for index, choice in numbered(choices_of(answer))]
        head = {name: value for name, value in answer.items() if name != "usage"} | {"choices": choices}
        return [head, *usage_chunks(answer, head)]


def _text_of(choice: Json) -> str:
    """The text of a choice, which some servers send as chat does."""
    text = choice.get("text")
    return text if isinstance(text, str) else content_text(message_in(choice))


def _has_output(choice: Json) -> bool:
    return bool(_text_of(choice))


def _prompts_in(prompt: object) -> int:
    """How many prompts there are: several come as a list of texts, or as a list of lists of tokens."""
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return len(prompt)
    return 1


COMPLETIONS = Completions()
