"""How many tokens a prompt is: frames, texts, tools, images and recordings.

Source: OpenAI Cookbook, "How to count tokens with tiktoken". The vocabularies come from the library splintr. What the
cookbook does not say is an assumption, and is named so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from splintr import AnyTokenizer, Tokenizer

from tests.ledger.upstream.media import image_tokens, recording_tokens

Json = Mapping[str, Any]

# The models that still use the older vocabulary. All others have o200k_base.
CL100K = ("gpt-3.5", "gpt-4-turbo", "text-embedding")

# Tokens that frame each message, that a name adds, and that begin the answer.
PER_MESSAGE = 3
PER_NAME = 1
PER_REPLY = 3

# Tokens that frame the definition of a function: of the function, of its properties, of each property, of an enum, of
# each of its values, and of the end of all functions. The older vocabulary needs more for a function.
PER_FUNCTION = {"o200k_base": 7, "cl100k_base": 10}
PER_PROPERTIES = 3
PER_PROPERTY = 3
PER_ENUM = -3
PER_ENUM_VALUE = 3
PER_FUNCTIONS = 12

# An assumption: tokens that frame a call of a function, in a prompt or in an answer. OpenAI has not published it.
PER_TOOL_CALL = 5

# Stands in a list of tokens for one that is in no vocabulary.
FRAME = -1


@dataclass(slots=True)
class Prompt:
    """The tokens of a prompt in their order, and how many of them are audio."""

    tokens: list[int] = field(default_factory=list)
    audio: int = 0
    # After how many tokens the caller has set a breakpoint of the prompt cache, and after how many a message ends.
    breakpoints: list[int] = field(default_factory=list)
    message_ends: list[int] = field(default_factory=list)

    def frame(self, count: int) -> None:
        self.tokens += [FRAME] * count


def vocabulary_of(model: str) -> str:
    return "cl100k_base" if model.startswith(CL100K) else "o200k_base"


@lru_cache(maxsize=2)
def tokenizer(vocabulary: str) -> AnyTokenizer:
    return Tokenizer.from_pretrained(vocabulary)


def encode(model: str, text: str) -> list[int]:
    return tokenizer(vocabulary_of(model)).encode(text) if text else []


def read_chat(model: str, body: Json) -> Prompt:
    prompt = Prompt()
    _read_tools(model, prompt, [tool["function"] for tool in body.get("tools") or ()])
    for message in body["messages"]:
        prompt.frame(PER_MESSAGE)
        prompt.tokens += encode(model, message["role"])
        _read_content(model, prompt, message.get("content"))
        if name := message.get("name"):
            prompt.tokens += encode(model, name)
            prompt.frame(PER_NAME)
        for call in message.get("tool_calls") or ():
            _read_call(model, prompt, call["function"])
        prompt.message_ends.append(len(prompt.tokens))
    prompt.frame(PER_REPLY)
    return prompt


def read_response(model: str, body: Json) -> Prompt:
    """A text alone is a message of the user, and `instructions` are one of the developer."""
    prompt = Prompt()
    _read_tools(model, prompt, [tool for tool in body.get("tools") or () if tool["type"] == "function"])
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    if body.get("instructions"):
        items.insert(0, {"role": "developer", "content": body["instructions"]})
    for item in items:
        prompt.frame(PER_MESSAGE)
        match item.get("type", "message"):
            case "function_call":
                prompt.tokens += encode(model, "assistant")
                _read_call(model, prompt, item)
            case "function_call_output":
                prompt.tokens += encode(model, "tool") + encode(model, item["output"])
            case _:
                prompt.tokens += encode(model, item["role"])
                _read_content(model, prompt, item["content"])
        prompt.message_ends.append(len(prompt.tokens))
    prompt.frame(PER_REPLY)
    return prompt


def read_texts(model: str, given: Any) -> Prompt:
    """The input of an embedding or the prompt of a completion: a text or several, without frames."""
    texts = [given] if isinstance(given, str) else given
    return Prompt([token for text in texts for token in encode(model, text)])


def _read_content(model: str, prompt: Prompt, content: Any) -> None:
    if isinstance(content, str):
        prompt.tokens += encode(model, content)
        return
    for part in content or ():
        match part["type"]:
            case "image_url":
                image = part["image_url"]
                _read_image(model, prompt, image["url"], image.get("detail", "auto"))
            case "input_image":
                _read_image(model, prompt, part["image_url"], part.get("detail", "auto"))
            case "input_audio":
                count = recording_tokens(part["input_audio"]["data"])
                prompt.tokens += [hash(part["input_audio"]["data"])] * count
                prompt.audio += count
            case _:
                prompt.tokens += encode(model, part["text"])
        if part.get("prompt_cache_breakpoint"):
            prompt.breakpoints.append(len(prompt.tokens))


def _read_image(model: str, prompt: Prompt, url: str, detail: str) -> None:
    prompt.tokens += [hash(url)] * image_tokens(model, url, detail)


def _read_call(model: str, prompt: Prompt, call: Json) -> None:
    prompt.frame(PER_TOOL_CALL)
    prompt.tokens += encode(model, call["name"]) + encode(model, call["arguments"])


def _read_tools(model: str, prompt: Prompt, functions: list[Json]) -> None:
    """The cookbook's `num_tokens_for_tools`."""
    for function in functions:
        prompt.frame(PER_FUNCTION[vocabulary_of(model)])
        prompt.tokens += encode(model, f"{function['name']}:{function['description'].removesuffix('.')}")
        properties: Json = function["parameters"].get("properties", {})
        if properties:
            frames, texts = _frames_and_texts(properties)
            prompt.frame(PER_PROPERTIES + frames)
            for text in texts:
                prompt.tokens += encode(model, text)
    if functions:
        prompt.frame(PER_FUNCTIONS)


def _frames_and_texts(properties: Json) -> tuple[int, Iterator[str]]:
    values = [value for schema in properties.values() for value in schema.get("enum", ())]
    enums = sum("enum" in schema for schema in properties.values())
    lines = (
        f"{name}:{schema['type']}:{schema['description'].removesuffix('.')}" for name, schema in properties.items()
    )
    frames = PER_PROPERTY * len(properties) + PER_ENUM * enums + PER_ENUM_VALUE * len(values)
    return frames, iter([*lines, *map(_as_text, values)])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
