"""An answer in a few words, so that a list of calls says what each was answered: its text, or what it is instead.

The capital is Paris.
called get_weather({"city":"Paris"}), get_time({})
refused: I can't help with that.
2 choices: Heads | Tails
an image (png, 12 kB)
audio (wav, 48 kB): Good morning.
3 vectors of 1,536 numbers
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chat.record.kept.media import read_mark
from llm import Json

# The types of the parts of a content that are text to read, and the field that has it.
TEXTS = {"text": "text", "output_text": "text"}
# Where a message of chat completions has images that are no parts of its content.
IMAGE_FIELDS = ("images", "image")
# Where a message has what the model thought. It is told only where the answer has nothing else.
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
KILO = 1000


def summary_of(answer: Json) -> str:
    """What an answer of any operation says, as it is kept. A text is told wholly; "" if the answer says nothing."""
    if "vectors" in answer:
        return _vectors(answer)
    if isinstance(output := answer.get("output"), list):
        return _joined([*_output(output), *_media(answer.get("audio"), "audio")]) or _thoughts_of_output(output)
    choices = [choice for choice in _list(answer.get("choices")) if isinstance(choice, dict)]
    said = [_choice(choice) for choice in choices]
    if len(said) > 1:
        return f"{len(said)} choices: {' | '.join(said)}"
    return said[0] if said else ""


def one_line(text: str, most: int) -> str:
    """A text on one line of at most so many characters."""
    # Only its beginning is looked at, because a text may be long.
    line = " ".join(text[: most * 2].split())
    return line if len(line) <= most and len(text) <= most * 2 else f"{line[: most - 1]}…"


def _vectors(answer: Json) -> str:
    count, dimensions = answer["vectors"], answer.get("dimensions")
    of = f" of {dimensions:,} numbers" if isinstance(dimensions, int) else ""
    return f"{count:,} vector{'' if count == 1 else 's'}{of}" if isinstance(count, int) else ""


def _choice(choice: Json) -> str:
    message = choice.get("message")
    if not isinstance(message, dict):
        return str(choice.get("text") or "")
    return _joined(list(_message(message))) or _first_thought(message)


def _message(message: Json) -> Iterator[str]:
    content = message.get("content")
    yield from _content([content] if isinstance(content, str | dict) else _list(content))
    if refusal := message.get("refusal"):
        yield f"refused: {refusal}"
    yield from _media(message.get("audio"), "audio")
    for name in IMAGE_FIELDS:
        images = message.get(name)
        for image in images if isinstance(images, list) else [images]:
            yield from _media(image, "image")
    calls = [*_list(message.get("tool_calls")), {"function": message.get("function_call")}]
    yield from _called([call for call in calls if isinstance(call, dict)])


def _content(parts: list[Any]) -> Iterator[str]:
    text = ""
    others: list[str] = []
    for part in parts:
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict):
            kind = str(part.get("type") or "text")
            if kind in TEXTS:
                text += str(part.get(TEXTS[kind]) or "")
            elif kind == "refusal":
                others.append(f"refused: {part.get('refusal') or ''}")
            elif "image" in kind or "audio" in kind:
                others.extend(_media(part, "audio" if "audio" in kind else "image"))
    if text:
        yield text
    yield from others


def _output(items: list[Any]) -> Iterator[str]:
    """The items of a response: its messages in order, then what it called."""
    calls = []
    for item in items:
        if not isinstance(item, dict):
            continue
        kind = str(item.get("type") or "")
        if kind == "message":
            yield from _content(_list(item.get("content")))
        elif kind == "image_generation_call":
            yield from _media({"url": item.get("result")}, "image")
        elif kind.endswith("_call"):
            calls.append(item if item.get("name") else {"name": kind.removesuffix("_call"), **item})
    yield from _called(calls)


def _called(calls: list[Json]) -> Iterator[str]:
    named = [text for call in calls if (text := _call(call))]
    if named:
        yield f"called {', '.join(named)}"


def _call(call: Json) -> str:
    """`name(arguments)`, from a call of chat completions or from an item of a response."""
    for holder in (call.get("function"), call.get("custom"), call):
        if isinstance(holder, dict) and holder.get("name"):
            arguments = holder.get("arguments", holder.get("input"))
            return f"{holder['name']}({'' if arguments is None else arguments})"
    return ""


def _media(holder: Any, what: str) -> Iterator[str]:
    """An image or a sound, from the object that has it: of what kind and how large it is, where that is known."""
    if isinstance(holder, str):
        holder = {"url": holder}
    if not isinstance(holder, dict) or not holder:
        return
    inner = next((holder[name] for name in ("image_url", "input_audio", "audio") if holder.get(name)), holder)
    fields = inner if isinstance(inner, dict) else {"url": inner}
    where = next((fields[name] for name in ("url", "data", "b64_json") if isinstance(fields.get(name), str)), "")
    name = "audio" if what == "audio" else "an image"
    if media := read_mark(where):
        name = f"{name} ({media.media_type.partition('/')[2]}, {_size(media.size)})"
    elif where.startswith(("http://", "https://")):
        name = f"{name} ({where})"
    transcript = fields.get("transcript")
    yield f"{name}: {transcript}" if transcript else name


def _size(size: int) -> str:
    if size < KILO:
        return f"{size} B"
    return f"{size / KILO:.0f} kB" if size < KILO * KILO else f"{size / KILO / KILO:.1f} MB"


def _thoughts_of_output(items: list[Any]) -> str:
    parts = [
        part
        for item in items
        if isinstance(item, dict) and item.get("type") == "reasoning"
        for part in (*_list(item.get("summary")), *_list(item.get("content")))
    ]
    texts = [str(part.get("text") or "") for part in parts if isinstance(part, dict)]
    return _thought("\n".join(filter(None, texts)))


def _first_thought(message: Json) -> str:
    texts = (message.get(name) for name in THOUGHT_FIELDS)
    return _thought(next((text for text in texts if isinstance(text, str) and text), ""))


def _thought(text: str) -> str:
    return f"thought: {text}" if text else ""


def _joined(said: list[str]) -> str:
    return "\n".join(said)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
