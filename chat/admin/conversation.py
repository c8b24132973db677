"""Messages made readable: who said what, in turns of plain text. Escaping is the template's business, always."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

MAX_CHARACTERS = 50_000
"""How much of one text the page shows."""
DATA_URL_SHOWN = 40


@dataclass(frozen=True)
class Part:
    text: str
    kind: str = "text"
    """text, or the name of what it is instead: image_url, tool call, …"""
    hidden_characters: int = 0


@dataclass(frozen=True)
class Turn:
    role: str
    about: str
    """The speaker's name, or the tool call that is answered."""
    parts: list[Part]


def read_turns(messages: Any) -> list[Turn]:
    """The messages of a call in the OpenAI protocol's shape. What has another shape is shown as JSON."""
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
            with suppress(ValueError):  # models do write broken JSON; it is shown as it came
                arguments = pretty(json.loads(arguments))
            return shortened(f"{name} {arguments}", "tool call")
    return shortened(pretty(call), "tool call")


def _url(url: str) -> str:
    """The address; of an image in the address itself, only how it starts. Nothing is ever loaded from it."""
    if not url.startswith("data:"):
        return url
    return f"{url[:DATA_URL_SHOWN]}… ({len(url):,} characters)"


def _without_data(piece: dict[str, Any]) -> str:
    """As JSON, with what is certainly no text (base64 of sound or files) cut short."""

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: f"{inner[:DATA_URL_SHOWN]}… ({len(inner):,} characters)"
                if name in ("data", "file_data") and isinstance(inner, str)
                else cut(inner)
                for name, inner in value.items()
            }
        return value

    return pretty(cut(piece))
