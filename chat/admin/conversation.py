"""Messages made readable: who said what, in turns of plain text. The templates escape the text, nothing here does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# How many characters of one text the page shows.
MAX_CHARACTERS = 50_000
# How many characters of encoded data the page shows, like those of an image that stands in its own address.
DATA_SHOWN = 40


@dataclass(frozen=True)
class Part:
    text: str
    # "text", or the name of what it is instead, like "image" or "tool call".
    kind: str = "text"
    # How many characters of the text were left out.
    hidden_characters: int = 0


@dataclass(frozen=True)
class Turn:
    role: str
    # The name of the speaker, or the id of the tool call that is answered.
    about: str
    parts: list[Part]


def read_turns(messages: Any) -> list[Turn]:
    """The turns of a call's messages. They should have the shape of the OpenAI protocol; anything else becomes JSON."""
    return [_turn(message) for message in messages] if isinstance(messages, list) else [_unknown(messages)]


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def shortened(text: str, kind: str = "text") -> Part:
    return Part(text[:MAX_CHARACTERS], kind, max(0, len(text) - MAX_CHARACTERS))


def _turn(message: Any) -> Turn:
    if not isinstance(message, dict):
        return _unknown(message)
    about = " ".join(str(message[name]) for name in ("name", "tool_call_id") if message.get(name))
    return Turn(str(message.get("role", "unknown")), about, list(_parts(message)))


def _unknown(value: Any) -> Turn:
    return Turn("unknown", "", [shortened(pretty(value), "JSON")])


def _parts(message: dict[str, Any]) -> Iterator[Part]:
    content = message.get("content")
    for piece in content if isinstance(content, list) else [content]:
        if piece is not None:
            yield _part(piece)
    if refusal := message.get("refusal"):
        yield shortened(str(refusal), "refusal")
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        yield _tool_call(call)
    if function_call := message.get("function_call"):
        yield shortened(pretty(function_call), "function call")


def _part(piece: Any) -> Part:
    match piece:
        case str():
            return shortened(piece)
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            return shortened(text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return Part(_url(url), "image")
        case {"type": str(kind)}:
            return shortened(_without_data(piece), kind)
    return shortened(pretty(piece), "JSON")


def _tool_call(call: Any) -> Part:
    match call:
        case {"function": {"name": str(name), "arguments": str(arguments)}}:
            with suppress(ValueError):  # A model may write broken JSON, which is then shown as it came.
                arguments = pretty(json.loads(arguments))
            return shortened(f"{name} {arguments}", "tool call")
    return shortened(pretty(call), "tool call")


def _url(url: str) -> str:
    """An address as text: the page loads nothing from it. Of an image within the address only the start is shown."""
    if not url.startswith("data:"):
        return url
    return f"{url[:DATA_SHOWN]}… ({len(url):,} characters)"


def _without_data(piece: dict[str, Any]) -> str:
    """A piece as JSON. Sound and files in base64 are shortened, because nobody can read them."""

    def shorten(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: f"{inner[:DATA_SHOWN]}… ({len(inner):,} characters)"
                if name in ("data", "file_data") and isinstance(inner, str)
                else shorten(inner)
                for name, inner in value.items()
            }
        return value

    return pretty(shorten(piece))
