"""Text completions, the API that came before chat. Source: OpenAI's API reference, "Create completion"."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from llm.costs.tokens import count_input_tokens
from llm.json_values import Json
from llm.operations.choices import (
    ChoicesReader,
    check_choices,
    choices_of,
    first_finish_reason,
    index_of,
    merge_head,
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

    def check(self, answer: Json) -> None:
        check_choices(answer, _has_output)

    def reader(self) -> StreamReader:
        return ChoicesReader(_has_output)

    def assemble(self, chunks: Iterable[Json]) -> Json:
        answer: Json = {}
        choices: dict[int, Json] = {}
        for chunk in chunks:
            merge_head(answer, chunk)
            for piece in choices_of(chunk):
                _add_piece(choices.setdefault(index_of(piece), {"text": "", "logprobs": None}), piece)
        answer["choices"] = [choices[index] for index in sorted(choices)]
        return answer

    def output_texts(self, answer: Json) -> list[str]:
        return [str(choice["text"]) for choice in choices_of(answer) if choice.get("text")]

    def says_something(self, answer: Json) -> bool:
        return any(map(_has_output, choices_of(answer)))

    def text(self, answer: Json) -> str:
        return "".join(str(choice.get("text") or "") for choice in choices_of(answer) if index_of(choice) == 0)

    def finish_reason(self, answer: Json) -> str:
        return first_finish_reason(answer)

    def usages(self, answer: Json) -> list[Json]:
        return usages_of(answer)

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        return [{"role": "user", "content": body.get("prompt")}]

    def input_fields(self) -> frozenset[str]:
        return frozenset({"prompt"})

    def prompt_tokens(self, body: Mapping[str, Any]) -> int:
        return count_input_tokens(body.get("prompt"))

    def answer_of_text(self, text: str, model: str) -> Json | None:
        return {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}],
        }

    def chunks_of(self, answer: Json) -> list[Json]:
        head = {name: value for name, value in answer.items() if name != "usage"}
        return [head, *usage_chunks(answer, head)]


def _has_output(choice: Json) -> bool:
    return bool(choice.get("text"))


def _add_piece(choice: Json, piece: Json) -> None:
    """Add what one chunk says about a choice."""
    choice["text"] += piece.get("text") or ""
    for name, value in piece.items():
        if name == "logprobs" and isinstance(value, dict):
            choice["logprobs"] = _joined(choice["logprobs"] or {}, value)
        elif name not in ("text", "logprobs") and (value is not None or name not in choice):
            choice[name] = value


def _joined(before: Json, more: Json) -> Json:
    """Join log probabilities. They are parallel lists, one for each kind of entry."""
    joined = dict(before)
    for kind, values in more.items():
        joined[kind] = [*(before.get(kind) or ()), *values] if values else before.get(kind, values)
    return joined


COMPLETIONS = Completions()
