"""Text completions, the API before chat. Source: OpenAI's API reference, "Create completion"."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from llm.costs.tokens import count_input_tokens
from llm.costs.usage import Usage
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json
from llm.operations.assembly import ENDS_EMPTY, choices_of, finish_reason_of, finish_reasons, index_of, usage_of
from llm.operations.base import Accumulate, Operation, StreamReader


class CompletionReader(StreamReader):
    def __init__(self) -> None:
        self._open_choices: set[int] = set()

    def read(self, chunk: Json) -> None:
        for choice in choices_of(chunk):
            index, reason = index_of(choice), finish_reason_of(choice)
            self.begun = self.begun or bool(choice.get("text")) or reason in ENDS_EMPTY
            if reason:
                self._open_choices.discard(index)
                self.finished = not self._open_choices
            elif not self.finished or choice.get("text"):
                self._open_choices.add(index)
                self.finished = False


class Completions(Operation):
    name = "completions"
    path = "/completions"

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        return {**body, "stream": True, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}

    def check(self, answer: Json) -> None:
        choices = choices_of(answer)
        if not choices:
            raise InvalidUpstreamResponse("The upstream's answer has no choices.", http_status=200)
        if not any(choice.get("text") or finish_reason_of(choice) in ENDS_EMPTY for choice in choices):
            raise InvalidUpstreamResponse("The upstream's answer is empty.", http_status=200)
        if not finish_reasons(answer):
            raise InvalidUpstreamResponse("The upstream's answer has no finish reason.", http_status=200)

    def reader(self) -> StreamReader:
        return CompletionReader()

    def assemble(self, chunks: Iterable[Json], accumulate: Accumulate) -> Json:
        answer: Json = {}
        choices: dict[int, Json] = {}
        for chunk in chunks:
            answer.update({k: v for k, v in chunk.items() if k not in ("choices", "obfuscation") and v is not None})
            for piece in choices_of(chunk):
                choice = choices.setdefault(index_of(piece), {"text": "", "logprobs": None})
                choice["text"] += piece.get("text") or ""
                for name, value in piece.items():
                    if name == "logprobs" and isinstance(value, dict):
                        choice["logprobs"] = _joined(choice["logprobs"] or {}, value)
                    elif name not in ("text", "logprobs") and (value is not None or name not in choice):
                        choice[name] = value
        answer["choices"] = [choices[index] for index in sorted(choices)]
        return answer

    def output_texts(self, answer: Json) -> list[str]:
        return [str(choice["text"]) for choice in choices_of(answer) if choice.get("text")]

    def says_something(self, answer: Json) -> bool:
        return any(choice.get("text") for choice in choices_of(answer))

    def text(self, answer: Json) -> str:
        return "".join(str(choice.get("text") or "") for choice in choices_of(answer) if index_of(choice) == 0)

    def finish_reason(self, answer: Json) -> str:
        return next(iter(finish_reasons(answer)), "")

    def usage(self, answer: Json) -> Usage | None:
        return usage_of(answer)

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
        said = {name: value for name, value in answer.items() if name != "usage"}
        usage = [{**said, "choices": [], "usage": answer["usage"]}] if answer.get("usage") else []
        return [said, *usage]


def _joined(before: Json, more: Json) -> Json:
    """Log probabilities: parallel lists, by kind."""
    joined = dict(before)
    for kind, values in more.items():
        joined[kind] = [*(before.get(kind) or ()), *values] if values else before.get(kind, values)
    return joined


COMPLETIONS = Completions()
