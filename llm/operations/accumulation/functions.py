"""The function that a tool call names: its name, and its arguments, which are a text of JSON that comes in pieces."""

from __future__ import annotations

import json
import re
from typing import Any

from llm.operations.accumulation.growing import Record, Text
from llm.operations.accumulation.rows import LooseValue

STRUCTURE = re.compile(r'\\.|["{}\[\]]', re.DOTALL)


class Name:
    """A name. Some servers repeat it in every chunk (MiniMax at NVIDIA), some send it in pieces (Gemini): what equals
    or extends the name so far is the name, and anything else is its next piece."""

    def __init__(self) -> None:
        self.text = ""
        self._odd: Any = None

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self.text = value if value.startswith(self.text) else self.text + value
            self._odd = ""
        elif value is not None:
            self._odd = value

    def whole(self) -> Any:
        return self.text or self._odd


class Arguments(Text):
    """Pieces of JSON text. An object instead of a text is a whole, and is written as text."""

    def __init__(self) -> None:
        super().__init__()
        self._unread: list[str] = []
        self._depth = 0
        self._in_text = False

    def add(self, value: Any) -> None:
        if isinstance(value, dict | list):
            value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if isinstance(value, str) and value:
            self._unread.append(value)
        super().add(value)

    @property
    def have_begun(self) -> bool:
        return any(piece and not piece.isspace() for piece in self._pieces)

    def have_ended(self) -> bool:
        """Is the JSON whole, so that nothing can follow? Each character is read once, however often it is asked."""
        text, self._unread = "".join(self._unread), []
        if text.endswith("\\") and (len(text) - len(text.rstrip("\\"))) % 2:
            # Half an escape waits for its other half.
            text, self._unread = text[:-1], ["\\"]
        for mark in STRUCTURE.findall(text):
            if mark == '"':
                self._in_text = not self._in_text
            elif not self._in_text and len(mark) == 1:
                self._depth += 1 if mark in "{[" else -1
        return self.have_begun and self._depth <= 0 and not self._in_text

    def are_repeated_by(self, value: Any) -> bool:
        """Is a value these arguments once more, and not their next piece?"""
        if not begins_object(value) or not self.have_ended():
            return False
        again = Arguments()
        again.add(value)
        return bool(again.whole() == self.whole())


def begins_object(value: Any) -> bool:
    """Do arguments begin here?"""
    return isinstance(value, dict) or (isinstance(value, str) and value.lstrip().startswith("{"))


class Function(Record):
    """A function or custom tool, with what it is called with."""

    def __init__(self) -> None:
        super().__init__({"name": Name, "arguments": Arguments, "input": Text}, LooseValue)
