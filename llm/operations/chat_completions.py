"""Chat completions. Source: OpenAI's API reference, "Create chat completion"."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from llm.costs.tokens import estimate_message_tokens
from llm.json_values import Json
from llm.operations import chat_chunks
from llm.operations.choices import (
    ChoicesReader,
    check_choices,
    choices_of,
    first_finish_reason,
    index_of,
    stream_body,
    usages_of,
)
from llm.operations.operation import Operation, StreamReader
from llm.operations.output_texts import texts_within

# Fields of a delta or message that hold output of the model. A delta without any of them wins no race.
OUTPUT_FIELDS = ("content", "refusal", "tool_calls", "function_call", "audio", "reasoning_content", "reasoning")


class ChatCompletions(Operation):
    name = "chat.completions"
    path = "/chat/completions"

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        return stream_body(body)

    def check(self, answer: Json) -> None:
        check_choices(answer, lambda choice: _has_output(choice.get("message")))

    def reader(self) -> StreamReader:
        return ChoicesReader(lambda choice: _has_output(choice.get("delta")))

    def assemble(self, chunks: Iterable[Json]) -> Json:
        return chat_chunks.completion_of(chunks)

    def output_texts(self, answer: Json) -> list[str]:
        texts: list[str] = []
        for choice in choices_of(answer):
            part: Json = choice.get("delta") or choice.get("message") or {}
            if _has_output(part):
                content = part.get("content")
                # Nearly every delta of a stream is just a piece of content, which needs no search for texts.
                texts += [content] if isinstance(content, str) and len(part) == 1 else texts_within(part)
        return texts

    def says_something(self, answer: Json) -> bool:
        return any(_has_output(choice.get("delta") or choice.get("message")) for choice in choices_of(answer))

    def text(self, answer: Json) -> str:
        """The text of the first choice: its content, or its refusal if it has no content."""
        for choice in choices_of(answer):
            part = choice.get("delta") or choice.get("message")
            if index_of(choice) == 0 and isinstance(part, dict):
                content = part.get("content")
                if isinstance(content, list):
                    return "".join(str(piece.get("text", "")) for piece in content if isinstance(piece, dict))
                return str(content or part.get("refusal") or "")
        return ""

    def finish_reason(self, answer: Json) -> str:
        return first_finish_reason(answer)

    def usages(self, answer: Json) -> list[Json]:
        return usages_of(answer)

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        messages = body.get("messages")
        return messages if isinstance(messages, list) else []

    def input_fields(self) -> frozenset[str]:
        return frozenset({"messages"})

    def prompt_tokens(self, body: Mapping[str, Any]) -> int:
        return estimate_message_tokens(self.messages(body))

    def answer_of_text(self, text: str, model: str) -> Json | None:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        }

    def chunks_of(self, answer: Json) -> list[Json]:
        return chat_chunks.chunks_of(answer)


def _has_output(part: object) -> bool:
    """Whether a delta or message holds any output of the model."""
    if not isinstance(part, dict):
        return False
    # Content is looked at first, because nearly every delta is a piece of it.
    return bool(part.get("content")) or any(part.get(name) for name in OUTPUT_FIELDS)


CHAT_COMPLETIONS = ChatCompletions()
