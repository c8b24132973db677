"""What a simulated model says, whichever API asks it: decided in full before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from llm.simulator.behaviour import Behaviour
from llm.simulator.generation.tool_call import ToolCall

_PIECE: Final = re.compile(r"\s*\S{1,6}|\s+\Z")
_ECHO_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request of any API comes down to."""

    model: str
    tokens: int
    last_user_text: str
    max_tokens: int | None = None
    tool: ToolCall | None = None
    """A call that would be in place."""
    json_text: str | None = None
    """The answer in the format that was asked for; None: in words."""
    stop: tuple[str, ...] = ()
    """Texts before which the answer ends."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The `pieces`, of a token each, are together the text, or, with `tool`, the arguments of a call.

    The first piece of a call is empty: it is the token that its name costs.
    """

    pieces: tuple[str, ...]
    tool: ToolCall | None
    finish_reason: str
    """In the words of chat: stop, length, tool_calls, or as scripted."""


def generate(prompt: Prompt, behaviour: Behaviour) -> Generation:
    """What a model of this behaviour says, in full; mishaps on the way are the sender's business."""
    tool = prompt.tool if behaviour.tool_call and not behaviour.empty else None
    pieces = ("", *_split(tool.arguments)) if tool else _split(_text(prompt, behaviour))
    natural = "tool_calls" if tool else "stop"
    if prompt.max_tokens is not None and len(pieces) > prompt.max_tokens:
        pieces, natural = pieces[: prompt.max_tokens], "length"
    return Generation(pieces, tool, behaviour.finish_reason or natural)


def _text(prompt: Prompt, behaviour: Behaviour) -> str:
    text = _unstopped_text(prompt, behaviour)
    return text[: min((place for stop in prompt.stop if (place := text.find(stop)) >= 0), default=len(text))]


def _unstopped_text(prompt: Prompt, behaviour: Behaviour) -> str:
    if behaviour.empty:
        return ""
    if behaviour.answer is not None:
        return behaviour.answer
    if prompt.json_text is not None:
        return prompt.json_text
    said = " ".join(prompt.last_user_text.split())
    if len(said) > _ECHO_CHARACTERS:
        said = said[:_ECHO_CHARACTERS] + "…"
    return f"This is a simulated answer from {prompt.model}; no real model was asked. You said: {said}"


def _split(text: str) -> tuple[str, ...]:
    """Pieces of about a token each, which together are the text."""
    return tuple(_PIECE.findall(text))
