"""Chat completions. Source: OpenAI's API reference, "Create chat completion"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm.costs.tokens import estimate_message_tokens
from llm.costs.usage import Usage
from llm.json_values import Json
from llm.operations import assembly
from llm.operations.base import Accumulate, Operation, StreamReader


class ChatCompletionReader(StreamReader):
    def __init__(self) -> None:
        self._open_choices: set[int] = set()

    def read(self, chunk: Json) -> None:
        for choice in assembly.choices_of(chunk):
            index, reason = assembly.index_of(choice), assembly.finish_reason_of(choice)
            says_something = assembly.says_something(choice.get("delta"))
            self.begun = self.begun or says_something or reason in assembly.ENDS_EMPTY
            if reason:
                self._open_choices.discard(index)
                self.finished = not self._open_choices
            elif not self.finished or says_something:
                self._open_choices.add(index)
                self.finished = False


class ChatCompletions(Operation):
    name = "chat.completions"
    path = "/chat/completions"

    def stream_body(self, body: Mapping[str, Any]) -> Json:
        # Usage is always asked for: without it nobody knows what a stream cost.
        return {**body, "stream": True, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}

    def check(self, answer: Json) -> None:
        assembly.check_completion(answer)

    def reader(self) -> StreamReader:
        return ChatCompletionReader()

    def assemble(self, chunks: Iterable[Json], accumulate: Accumulate) -> Json:
        return assembly.assemble(chunks, accumulate)

    def output_texts(self, answer: Json) -> list[str]:
        texts: list[str] = []
        for choice in assembly.choices_of(answer):
            part: Json = choice.get("delta") or choice.get("message") or {}
            if assembly.says_something(part):
                content = part.get("content")
                # A piece of content is nearly all that a stream has.
                texts += [content] if isinstance(content, str) and len(part) == 1 else assembly.output_texts(part)
        return texts

    def says_something(self, answer: Json) -> bool:
        choices = assembly.choices_of(answer)
        return any(assembly.says_something(choice.get("delta") or choice.get("message")) for choice in choices)

    def text(self, answer: Json) -> str:
        return assembly.first_text(answer)

    def finish_reason(self, answer: Json) -> str:
        return next(iter(assembly.finish_reasons(answer)), "")

    def usage(self, answer: Json) -> Usage | None:
        return assembly.usage_of(answer)

    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        messages = body.get("messages")
        return messages if isinstance(messages, list) else []

    def input_fields(self) -> frozenset[str]:
        return frozenset({"messages"})

    def prompt_tokens(self, body: Mapping[str, Any]) -> int:
        return estimate_message_tokens(self.messages(body))

    def answer_of_text(self, text: str, model: str) -> Json | None:
        return assembly.completion_of_text(text, model)

    def chunks_of(self, answer: Json) -> list[Json]:
        return assembly.chunks_of_completion(answer)


CHAT_COMPLETIONS = ChatCompletions()
