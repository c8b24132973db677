"""How a text or a JSON value is kept: without what the operator wants redacted, and without the bytes of media."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from chat.record.bulk_insert import Written
from chat.record.kept.media import (
    BASE64,
    MEDIA_FIELDS,
    UNKNOWN_TYPE,
    mark_of_field,
    mark_of_url,
    read_mark,
    split_at_urls,
)
from llm import write_json

REDACTED = "[redacted]"

# The parts of an answer that spell it once more, a token at a time. A pattern would find nothing in them.
SPELLED_OUT = frozenset({"logprobs", "token_ids"})


# What stands in the JSON text of a value of which something may have to be kept in another way: the mark of base64, a
# field that may hold bare bytes, or an escape, which may be that of a letter that no database can hold.
NEEDS_A_LOOK = (b"base64", b"\\u", *(f'"{name.lower()}"'.encode() for name in MEDIA_FIELDS))


@dataclass(frozen=True, slots=True)
class Kept:
    """A JSON value as it is kept. `written` is the same as JSON text, which is `size` bytes long.

    It is written once, to know its size and to find out whether anything in it has to be looked at, and this text goes
    into the database.
    """

    value: Any
    written: Written
    size: int


@dataclass(frozen=True, slots=True)
class Keeping:
    """What matches a pattern of `redact` is kept nowhere."""

    redact: tuple[re.Pattern[str], ...] = ()

    def text(self, text: str, *, with_bytes: bool = False) -> str:
        """A text as it may be kept, which every database can hold."""
        if with_bytes or not (BASE64 in text or text[:5].lower() == "data:"):  # most texts have no media in them
            return self._redacted(text)
        if mark := mark_of_url(text):
            return self._checked(mark)
        return "".join(self._redacted(piece) + self._checked(mark) for piece, mark in split_at_urls(text))

    def kept(self, value: Any, *, with_bytes: bool = False, is_answer: bool = False) -> Kept:
        """A JSON value as it may be kept, see `value` and `answer`.

        Most values are kept as they are. To see that in their text takes much less time than to walk through them.
        """
        written = write_json(value)
        if self.redact or _needs_a_look(written):
            value = self.answer(value, with_bytes=with_bytes) if is_answer else self.value(value, with_bytes=with_bytes)
            written = write_json(value)
        return Kept(value, Written(written.decode()), len(written))

    def value(self, value: Any, *, with_bytes: bool = False) -> Any:
        """A JSON value as it may be kept: every text and number in it is redacted, and every database can hold it.

        Keys are not redacted, because they are names of fields. Media are kept by their hash, unless `with_bytes`.
        """
        return self._value(value, "", with_bytes)

    def answer(self, answer: Any, *, with_bytes: bool = False) -> Any:
        """The same for an answer, whose log probabilities are left out where something is redacted."""
        return self._value(_without_spelling(answer) if self.redact else answer, "", with_bytes)

    def _value(self, value: Any, place: str, with_bytes: bool) -> Any:
        if isinstance(value, str):
            return self.text(value, with_bytes=with_bytes)
        if isinstance(value, dict):
            return {
                storable(str(name)): self._field(value, name, inner, place, with_bytes) for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._value(inner, place, with_bytes) for inner in value]
        if isinstance(value, int | float) and any(pattern.search(str(value)) for pattern in self.redact):
            return REDACTED
        return value

    def _field(self, holder: dict[Any, Any], name: Any, inner: Any, place: str, with_bytes: bool) -> Any:
        if (
            name in MEDIA_FIELDS
            and not with_bytes
            and isinstance(inner, str)
            and (mark := mark_of_field(place, name, holder))
        ):
            return self._checked(mark)
        return self._value(inner, str(name), with_bytes)

    def _checked(self, mark: str) -> str:
        """The mark of media, of which only the media type is a word of the caller's or the upstream's."""
        media = read_mark(mark)
        if media is None or not any(pattern.search(media.media_type) for pattern in self.redact):
            return mark
        return mark.replace(media.media_type, UNKNOWN_TYPE, 1)

    def _redacted(self, text: str) -> str:
        if self.redact:
            text = self._redacted_inside(text)
            for pattern in self.redact:
                text = pattern.sub(REDACTED, text)
        return storable(text)

    def _redacted_inside(self, text: str) -> str:
        """A text that is JSON, as the arguments of a tool call are, with its values redacted.

        Read as a text, a value may be written with escapes in which no pattern finds it, and a pattern that begins
        with `^` would match none.
        """
        if text[:1] not in ("{", "["):
            return text
        try:
            inner = json.loads(text)
            redacted = self._value(inner, "", True)
            return text if redacted == inner else json.dumps(redacted, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):  # no JSON, or only the first half of it
            return text


def _needs_a_look(written: bytes) -> bool:
    text = written.lower()
    for mark in NEEDS_A_LOOK:  # noqa: SIM110 - a generator for `any` would take several times as long
        if mark in text:
            return True
    return False


def storable(text: str) -> str:
    """A text that every database can hold: lone surrogates and NULs are replaced. PostgreSQL can't hold a NUL."""
    if text.isascii() and "\x00" not in text:  # true of most texts, and quick to find out
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _without_spelling(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: None if name in SPELLED_OUT and isinstance(inner, dict | list) else _without_spelling(inner)
            for name, inner in value.items()
        }
    return [_without_spelling(inner) for inner in value] if isinstance(value, list) else value
