"""The whole answer of a stream of text completions."""

from __future__ import annotations

from typing import Any, ClassVar

from llm.operations.accumulation.choices import Choice, ChoicesAccumulator, Rest
from llm.operations.accumulation.content import text_of
from llm.operations.accumulation.growing import Text


class CompletionChoice(Choice):
    """One choice: its text, whose pieces some servers send as chat does."""

    def __init__(self) -> None:
        self._text = Text()
        self._rest = Rest()

    def add(self, piece: dict[str, Any]) -> None:
        self._rest.add(piece)
        delta = piece.get("delta")
        if isinstance(text := piece.get("text"), str):
            self._text.add(text)
        elif isinstance(delta, dict):
            self._text.add(text_of(delta.get("content")))
        elif isinstance(message := piece.get("message"), dict):
            self._text.replace(text_of(message.get("content")))

    def whole(self) -> dict[str, Any]:
        defaults = {"finish_reason": None, "logprobs": None}
        return {"text": self._text.whole() or "", **defaults, **self._rest.whole()}


class CompletionAccumulator(ChoicesAccumulator):
    object_name: ClassVar[str] = "text_completion"
    choice_kind: ClassVar[type[Choice]] = CompletionChoice
