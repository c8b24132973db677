"""A prompt as it is billed: its texts, and what has tokens without being a text."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm.costs.tokens import COUNTED_BYTES, count_all


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """The tokens of a prompt. `audio` and `images` are parts of `total`, which may have prices of their own."""

    total: int
    audio: int = 0
    images: int = 0


@dataclass(slots=True)
class Prompt:
    """What was read of a body. Its parts are in the order in which the model sees them.

    `beginnings` has the same order, and stands for the prompt where two of them are compared: the texts, and a short
    form of what is no text. `unread_bytes` is the size of what nobody here knows how to count.
    """

    texts: list[str] = field(default_factory=list)
    beginnings: list[str] = field(default_factory=list)
    frame: int = 0
    audio: int = 0
    images: int = 0
    files: int = 0
    file_bytes: int = 0
    unread_bytes: int = 0

    def add_text(self, text: str) -> None:
        if text:
            self.texts.append(text)
            self.beginnings.append(text)

    def add_data(self, data: str) -> None:
        """Note something long that is no text, so that prompts with other data begin differently."""
        self.beginnings.append(f"{len(data)}{data[:64]}{data[len(data) // 2 :][:64]}{data[-64:]}")

    def tokens(self, model: str, *, counted_bytes: int = COUNTED_BYTES) -> PromptTokens:
        other = self.frame + self.audio + self.images + self.files
        return PromptTokens(count_all(self.texts, model, counted_bytes=counted_bytes) + other, self.audio, self.images)
