"""Embeddings, which can't be streamed and have no text. Source: OpenAI's API reference, "Create embeddings"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm.costs.estimates import Prompt, read_input
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json
from llm.operations.accumulation import Accumulator
from llm.operations.billing.counts import count_of
from llm.operations.operation import Operation, StreamReader
from llm.operations.token_counts import PROMPT, TOTAL, StatedUsage


class NoStream(TypeError):
    """Embeddings were asked for as a stream. The doors refuse such a request before it gets here."""


class Embeddings(Operation):
    name = "embeddings"
    path = "/embeddings"
    can_stream = False

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        raise NoStream

    def check(self, answer: Json, body: Mapping[str, Any]) -> None:
        data = answer.get("data")
        if not isinstance(data, list) or not data:
            raise InvalidUpstreamResponse("The upstream's answer has no embeddings.", http_status=200)
        if not all(isinstance(entry, dict) and entry.get("embedding") for entry in data):
            raise InvalidUpstreamResponse("The upstream's answer has an empty embedding.", http_status=200)

    def reader(self, body: Mapping[str, Any]) -> StreamReader:
        raise NoStream

    def accumulator(self) -> Accumulator:
        raise NoStream

    def output_texts(self, answer: Json) -> list[str]:
        return []

    def says_something(self, answer: Json) -> bool:
        return bool(answer.get("data"))

    def text(self, answer: Json) -> str:
        return ""

    def finish_reason(self, answer: Json) -> str:
        return ""

    def usages(self, answer: Json) -> list[Json]:
        usage = answer.get("usage")
        return [usage] if isinstance(usage, dict) else []

    def read_usage(self, usage: object) -> StatedUsage | None:
        """Nothing is produced, so the prompt's tokens are the total too, and some servers state only one of them."""
        tokens = count_of(usage, *PROMPT) or count_of(usage, TOTAL)
        return StatedUsage(prompt_tokens=tokens, completion_tokens=0) if tokens else None

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        return [{"role": "user", "content": body.get("input")}]

    def input_fields(self) -> frozenset[str]:
        return frozenset({"input"})

    def prompt(self, body: Mapping[str, Any], model: str = "") -> Prompt:
        return read_input(body.get("input"))

    def answer_of_text(self, text: str, model: str) -> Json | None:
        return None

    def chunks_of(self, answer: Json) -> list[Json]:
        raise NoStream


EMBEDDINGS = Embeddings()
