"""What a message of a chat completion holds, whole or as a piece in a stream: output, thoughts, and text to read."""

from __future__ import annotations

from typing import Any

from llm.json_values import Json
from llm.operations.accumulation.content import VISIBLE, text_of

# Fields of a message that hold output of the model, besides its content.
OUTPUT_FIELDS = ("refusal", "tool_calls", "function_call", "audio", "images", "image", "video")

# Fields of a message that hold what the model thought on its way. Providers have no common name for it.
THOUGHT_FIELDS = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "reasoning_details",
    "thinking",
    "thinking_blocks",
)

# Parts of a content that are thoughts too.
THOUGHT_PARTS = frozenset({"thinking", "redacted_thinking", "reasoning"})


def message_in(choice: Json) -> Json:
    """What a choice says, as a message: its delta, or its message, or the bare text that some servers send."""
    delta, message, text = choice.get("delta"), choice.get("message"), choice.get("text")
    if says_something(delta):
        return delta if isinstance(delta, dict) else {"content": delta}
    if isinstance(message, dict):
        return message
    if isinstance(text, str) and text:
        return {"content": text}
    return delta if isinstance(delta, dict) else {}


def says_something(part: Any) -> bool:
    """Whether a delta or message has more than a role."""
    if isinstance(part, dict):
        return any(value for name, value in part.items() if name != "role")
    return isinstance(part, str) and bool(part)


def has_output(message: Json) -> bool:
    """Whether a message holds an answer of the model: text, a tool call, a refusal, an image or audio.

    Thoughts are no answer.
    """
    content = message.get("content")
    # A text is looked at first, because nearly every piece of a stream is one.
    if isinstance(content, str):
        if content:
            return True
    elif any(map(_is_output, content if isinstance(content, list) else [content])):
        return True
    return any(message.get(name) for name in OUTPUT_FIELDS)


def has_thoughts(message: Json) -> bool:
    content = message.get("content")
    return any(message.get(name) for name in THOUGHT_FIELDS) or (isinstance(content, list) and bool(content))


def content_text(message: Json) -> str:
    """The text of a message's content that a reader is shown."""
    content = message.get("content")
    return text_of([content] if isinstance(content, dict) else content)


def refusal_text(message: Json) -> str:
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else ""


def visible_text(message: Json) -> str:
    """The text that a reader is shown: the content, or the refusal where there is no content."""
    return content_text(message) or refusal_text(message)


def _is_output(part: Any) -> bool:
    """Whether a part of a content is an answer. Of a kind that nobody knows, it is taken to be one."""
    if not isinstance(part, dict):
        return isinstance(part, str) and bool(part)
    kind = part.get("type") or "text"
    if not isinstance(kind, str) or kind in THOUGHT_PARTS:
        return False
    return bool(part.get(VISIBLE[kind])) if kind in VISIBLE else True
