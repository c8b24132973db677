"""What a simulated model says, whichever API asks it. All of it is known before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from llm.simulator.generation.tool_call import ToolCall
from llm.simulator.script.behaviour import Behaviour

# A piece of about a token: up to six characters with the spaces before them, or the spaces at the end of the text.
_PIECE: Final = re.compile(r"\s*\S{1,6}|\s+\Z")

# How much of the user's message an answer echoes.
_ECHO_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request of any API asks for.

    `tool` is the tool call that a model could make, and `json_text` the answer in the format that the request asks for,
    None if it asks for words. The answer ends before the first of the texts in `stop`.
    """

    model: str
    tokens: int
    last_user_text: str
    max_tokens: int | None = None
    tool: ToolCall | None = None
    json_text: str | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The output in `pieces` of a token each. Together they are the text or, with `tool`, the arguments of a tool call.

    The first piece of a tool call is empty: it stands for the token that the function's name costs. `finish_reason` is
    in the words of chat completions: stop, length, tool_calls, or as scripted.
    """

    pieces: tuple[str, ...]
    tool: ToolCall | None
    finish_reason: str


def generate(prompt: Prompt, behaviour: Behaviour) -> ModelOutput:
    """All that a model with this behaviour says. The sender adds the failures that are scripted for the way."""
    tool = prompt.tool if behaviour.tool_call and not behaviour.empty else None
    pieces = ("", *_split(tool.arguments)) if tool else _split(_text(prompt, behaviour))
    natural = "tool_calls" if tool else "stop"
    if prompt.max_tokens is not None and len(pieces) > prompt.max_tokens:
        pieces, natural = pieces[: prompt.max_tokens], "length"
    return ModelOutput(pieces, tool, behaviour.finish_reason or natural)


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
    """Split a text into pieces of about a token each."""
    return tuple(_PIECE.findall(text))
