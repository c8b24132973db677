"""Embeddings, which can't be streamed and have no text. Source: OpenAI's API reference, "Create embeddings"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm.costs.tokens import count_input_tokens
from llm.costs.usage import Usage
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json
from llm.operations.accumulation import Accumulator
from llm.operations.operation import Operation, StreamReader
from llm.operations.token_counts import count_of


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

    def usage(self, answer: Json) -> Usage | None:
        prompt_tokens = count_of(answer.get("usage"), "prompt_tokens", "total_tokens")
        return None if prompt_tokens is None else Usage(prompt_tokens=prompt_tokens, completion_tokens=0)

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        return [{"role": "user", "content": body.get("input")}]

    def input_fields(self) -> frozenset[str]:
        return frozenset({"input"})

    def prompt_tokens(self, body: Mapping[str, Any]) -> int:
        return count_input_tokens(body.get("input"))

    def answer_of_text(self, text: str, model: str) -> Json | None:
        return None

    def chunks_of(self, answer: Json) -> list[Json]:
        raise NoStream


EMBEDDINGS = Embeddings()
