"""Chat completions. Source: OpenAI's API reference, "Create chat completion"."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from llm.costs.estimates import Prompt, read_chat
from llm.json_values import Json
from llm.operations.accumulation import Accumulator, ChatAccumulator
from llm.operations.billing.searches import ToolUse, tools_of_model
from llm.operations.chat.chunks import chunks_of
from llm.operations.chat.messages import has_output, has_thoughts, message_in, visible_text
from llm.operations.chat.text import ChatText
from llm.operations.choices import (
    ChoicesReader,
    check_choices,
    choices_asked,
    choices_of,
    first_finish_reason,
    index_of,
    stream_body,
    usages_of,
)
from llm.operations.operation import Operation, StreamReader
from llm.operations.output_texts import texts_within
from llm.operations.stream_text import StreamText


class ChatCompletions(Operation):
    name = "chat.completions"
    path = "/chat/completions"

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        return stream_body(body)

    def check(self, answer: Json, body: Mapping[str, Any]) -> None:
        check_choices(answer, body, _has_output)

    def reader(self, body: Mapping[str, Any]) -> StreamReader:
        return ChoicesReader(choices_asked(body), has_output=_has_output, has_thoughts=_has_thoughts)

    def accumulator(self) -> Accumulator:
        return ChatAccumulator()

    def output_texts(self, answer: Json) -> list[str]:
        return [text for choice in choices_of(answer) for text in texts_within(message_in(choice))]

    def says_something(self, answer: Json) -> bool:
        return any(_has_output(choice) or _has_thoughts(choice) for choice in choices_of(answer))

    def text(self, answer: Json) -> str:
        """The text of the first choice: its content, or its refusal if it has no content."""
        return next((visible_text(message_in(choice)) for choice in choices_of(answer) if index_of(choice) == 0), "")

    def stream_text(self) -> StreamText:
        return ChatText()

    def finish_reason(self, answer: Json) -> str:
        return first_finish_reason(answer)

    def usages(self, answer: Json) -> list[Json]:
        return usages_of(answer)

    def tools_used(self, answer: Json, model: str) -> ToolUse:
        return tools_of_model(model, has_answered=bool(choices_of(answer)))

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        messages = body.get("messages")
        return messages if isinstance(messages, list) else []

    def input_fields(self) -> frozenset[str]:
        return frozenset({"messages"})

    def prompt(self, body: Mapping[str, Any], model: str = "") -> Prompt:
        return read_chat(body, model)

    def answer_of_text(self, text: str, model: str) -> Json | None:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        }

    def chunks_of(self, answer: Json) -> list[Json]:
        return chunks_of(answer)


def _has_output(choice: Json) -> bool:
    return has_output(message_in(choice))


def _has_thoughts(choice: Json) -> bool:
    return has_thoughts(message_in(choice))


CHAT_COMPLETIONS = ChatCompletions()
