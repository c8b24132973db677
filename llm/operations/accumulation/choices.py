"""What chat and text completions have in common: fields of the answer, and choices by their index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from llm.json_values import Json
from llm.operations.accumulation.growing import Kind, Record, Stated, Value, index_of
from llm.operations.accumulation.rows import Row
from llm.operations.accumulation.usage import Usage

ENVELOPE: dict[str, Kind] = {
    **dict.fromkeys(("id", "created", "model", "system_fingerprint"), Stated),
    "usage": Usage,
}


class FinishReason(Value):
    """The last word that is a reason. An empty one, and the text "null" of some servers, is none."""

    def add(self, value: Any) -> None:
        if isinstance(value, str) and value and value != "null":
            super().add(value)


class LogProbs(Record):
    """Lists that run in parallel: OpenAI's `content` and `refusal`, or `tokens` and the others of text completions."""

    def __init__(self) -> None:
        super().__init__({}, Row)


# The fields of a choice, other than what it says. `token_ids` is vLLM's, a few with each chunk.
CHOICE: dict[str, Kind] = {
    "index": Value,
    "finish_reason": FinishReason,
    "logprobs": LogProbs,
    "token_ids": Row,
    "usage": Usage,
}


# What a choice says in pieces. Each of its other fields is a value, which may be repeated.
SAID = ("delta", "message", "text")


class Rest:
    """The fields of a choice, other than what it says."""

    def __init__(self) -> None:
        self._record = Record(CHOICE, Value)
        self._last: dict[str, Any] = {}

    def add(self, piece: dict[str, Any]) -> None:
        rest = {name: value for name, value in piece.items() if name not in SAID}
        # Nearly every piece repeats these fields, and that is soon seen. Only lists say more each time.
        if rest != self._last or rest.get("logprobs") or rest.get("token_ids"):
            self._record.add(rest)
            self._last = rest

    def whole(self) -> dict[str, Any]:
        return self._record.whole() or {}


class Choice(ABC):
    @abstractmethod
    def add(self, piece: dict[str, Any]) -> None: ...

    @abstractmethod
    def whole(self) -> dict[str, Any]: ...


class ChoicesAccumulator:
    """An accumulator for answers that have choices. A choice that names no index is the first one."""

    object_name: ClassVar[str]
    choice_kind: ClassVar[type[Choice]]

    def __init__(self) -> None:
        self._envelope = Record(ENVELOPE, Value)
        self._last: dict[str, Any] = {}
        self._choices: dict[int, Choice] = {}
        self._usage_in_choices = Usage()

    def add(self, chunk: Any) -> None:
        if not isinstance(chunk, dict):
            return
        # `obfuscation` pads a chunk to hide how long its text is, and belongs to no answer.
        own = {name: value for name, value in chunk.items() if name not in ("choices", "object", "obfuscation")}
        if own != self._last:  # nearly every chunk repeats them
            self._envelope.add(own)
            self._last = own
        choices = chunk.get("choices")
        for piece in choices if isinstance(choices, list) else ():
            if isinstance(piece, dict):
                self._add_piece(piece)

    def answer(self) -> Json:
        answer: Json = {**(self._envelope.whole() or {}), "object": self.object_name}
        answer["choices"] = [{**self._choices[index].whole(), "index": index} for index in sorted(self._choices)]
        # Moonshot says the usage in its last choice. A null in a whole answer would only say that there is none.
        usage = answer.pop("usage", None) or self._usage_in_choices.whole()
        return {**answer, "usage": usage} if usage else answer

    def _add_piece(self, piece: dict[str, Any]) -> None:
        index = index_of(piece) or 0
        if index not in self._choices:
            self._choices[index] = self.choice_kind()
        self._choices[index].add(piece)
        self._usage_in_choices.add(piece.get("usage"))
