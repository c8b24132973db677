"""How a value grows while pieces of it come in: a text is joined, any other value is replaced.

Which of them a field is, is known by its name and place. `whole()` is None where only nulls have come.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

# The halves of one character that came in two chunks. JSON has each as an escape of its own.
CUT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class Growing(Protocol):
    def add(self, value: Any) -> None: ...

    def whole(self) -> Any: ...


Kind: TypeAlias = Callable[[], Growing]


def joined(pieces: list[str]) -> str:
    """The text, with a character whose surrogates came in two pieces put together again."""
    text = "".join(pieces)
    if text.isascii():
        return text
    return CUT_PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


class Value:
    """A value that does not come in pieces. The last one stands; null, "" and [] replace nothing that says more.

    Objects are merged field by field by the same rule, so that two chunks may each say a part of one. A list is
    replaced: outside of a delta, servers repeat such lists (Perplexity's `citations`) in every chunk.
    """

    def __init__(self) -> None:
        self._value: Any = None
        self._record: Record | None = None

    def add(self, value: Any) -> None:
        if isinstance(value, dict) and (value or not self._says_something()):
            if self._record is None:
                self._record = Record({}, type(self))
            self._record.add(value)
        elif value is not None and (value not in ("", [], {}) or not self._says_something()):
            self._value, self._record = value, None

    def whole(self) -> Any:
        return self._value if self._record is None else self._record.whole()

    def _says_something(self) -> bool:
        return self._record is not None or self._value not in (None, "", [])


class Stated(Value):
    """A value that is never 0 or empty in earnest. Azure's late chunks about filters have `id` "" and `created` 0."""

    def add(self, value: Any) -> None:
        if value or not self._says_something():
            super().add(value)


class Text:
    """Pieces of one text. What is no text stands only where no text comes."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._odd: Any = None

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self._pieces.append(value)
        elif value is not None:
            self._odd = value

    def replace(self, value: Any) -> None:
        """The whole text, as a last event repeats it. An empty one replaces nothing."""
        if isinstance(value, str) and value:
            self._pieces = [value]

    def whole(self) -> Any:
        if not self._pieces:
            return self._odd
        self._pieces = [joined(self._pieces)]
        return self._pieces[0]


class Base64(Text):
    """Pieces of base64, as audio comes. OpenAI's own SDK joins them as text, which is right as long as only the last
    one is padded; where each piece was encoded for itself, the bytes are joined instead."""

    def whole(self) -> Any:
        text = super().whole()
        if not isinstance(text, str) or "=" not in text.rstrip("="):
            return text
        try:
            parts = [base64.b64decode(part, validate=True) for part in re.findall("[^=]+=*", text)]
        except (binascii.Error, ValueError):
            return text
        return base64.b64encode(b"".join(parts)).decode()


class Record:
    """An object, field by field: known ones by their name, any other as `other` says."""

    def __init__(self, known: Mapping[str, Kind], other: Kind) -> None:
        self._known, self._other = known, other
        self.parts: dict[str, Growing] = {}
        self._is_object = False
        self._odd: Any = None

    def add(self, value: Any) -> None:
        if not isinstance(value, dict):
            self._odd = self._odd if value is None else value
            return
        self._is_object = True
        for name, inner in value.items():
            part = self.parts.get(name)
            if part is None:
                part = self.parts[name] = self._known.get(name, self._other)()
            part.add(inner)

    def replace(self, name: str, value: Any) -> None:
        """Begin a field anew."""
        self._is_object = True
        self.parts[name] = self._known.get(name, self._other)()
        self.parts[name].add(value)

    def whole(self) -> Any:
        return {name: part.whole() for name, part in self.parts.items()} if self._is_object else self._odd

    def whole_of(self, name: str) -> Any:
        part = self.parts.get(name)
        return None if part is None else part.whole()


class Audio(Record):
    """`id` and `expires_at` are values, which some servers repeat in every chunk."""

    def __init__(self) -> None:
        super().__init__({"data": Base64, "transcript": Text}, Value)


def index_of(entry: Any) -> int | None:
    """The place that an entry names, or None where it names none; null is none."""
    index = entry.get("index") if isinstance(entry, dict) else None
    if isinstance(index, float) and index.is_integer():
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None
