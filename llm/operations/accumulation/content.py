"""The content of a message, which is a text, a list of parts, or both in turn."""

from __future__ import annotations

from typing import Any

from llm.operations.accumulation.blocks import Blocks
from llm.operations.accumulation.growing import Text

# The types of part that a reader is shown, and the field that has their text. Thoughts are not among them.
VISIBLE = {"text": "text", "output_text": "text", "refusal": "refusal"}


class Content:
    """Text stays text, and parts stay parts. Where both come (Mistral thinks in parts and answers in text), the whole
    is parts, and a text between them becomes a text part in its place."""

    def __init__(self) -> None:
        self._text, self._parts = Text(), Blocks()
        self._is_mixed = False
        self._is_bare = True
        self.length = 0

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self.length += len(value)
            if not self._is_mixed:
                self._text.add(value)
            elif value:
                self._parts.add_text(value)
        elif isinstance(value, list):
            self._is_bare = self._is_bare and not value
            for part in value:
                self._add_part(part)
            if not value:
                self._parts.add(value)
        elif isinstance(value, dict):
            self._add_part(value)
        else:
            self._text.add(value)

    def whole(self) -> Any:
        text, parts = self._text.whole(), self._parts.whole()
        if not self._is_mixed:
            return parts if text is None else text
        # A field that is an object and no list of them, as LiteLLM's `thinking`, stays one.
        return parts[0] if self._is_bare and len(parts) == 1 else parts

    def _add_part(self, part: Any) -> None:
        if isinstance(part, str):
            self.add(part)
            return
        if not self._is_mixed:
            self._is_mixed = True
            if text := self._text.whole():
                self._is_bare = False
                self._parts.add_text(str(text))
        self._parts.add([part])


def text_of(content: Any) -> str:
    """The text that a reader is shown of a content of either shape; empty where there is none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(_text_of_part(part) for part in content)


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    kind = part.get("type") or "text"
    text = part.get(VISIBLE[kind]) if isinstance(kind, str) and kind in VISIBLE else None
    return text if isinstance(text, str) else ""
