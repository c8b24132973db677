"""One item of a response's output, put together from its events."""

from __future__ import annotations

from typing import Any

from llm.operations.accumulation.growing import Record, Text, Value
from llm.operations.accumulation.rows import Row

# The fields of an item that hold parts, each with a text of its own.
LISTS = ("content", "summary")

# The fields of an item that are one text.
TEXTS = ("arguments", "input", "code")


class Part:
    """A part of a message or of reasoning. What its last event repeats takes the place of the pieces."""

    def __init__(self, part: dict[str, Any]) -> None:
        self._base: dict[str, Any] = {}
        self._text, self._logprobs = Text(), Row()
        self._annotations: dict[int, Any] = {}
        self.take(part)

    @property
    def _field(self) -> str:
        return "refusal" if self._base.get("type") == "refusal" else "text"

    def take(self, part: dict[str, Any]) -> None:
        """The part as an event states it, first empty and at last whole."""
        self._base = {**self._base, **part}
        self._text.replace(part.get(self._field))

    def add(self, delta: Any, logprobs: Any) -> None:
        self._text.add(delta)
        self._logprobs.add(logprobs)

    def end(self, text: Any, logprobs: Any) -> None:
        self._text.replace(text)
        if logprobs:
            self._base = {**self._base, "logprobs": logprobs}

    def annotate(self, index: Any, annotation: Any) -> None:
        self._annotations[index if isinstance(index, int) else len(self._annotations)] = annotation

    def whole(self) -> dict[str, Any]:
        text, logprobs = self._text.whole(), self._logprobs.whole()
        part = dict(self._base)
        if text is not None:
            part[self._field] = text
        if logprobs is not None and not part.get("logprobs"):
            part["logprobs"] = logprobs
        if self._annotations and not part.get("annotations"):
            part["annotations"] = [self._annotations[index] for index in sorted(self._annotations)]
        return part


class Item:
    """One item. `is_done` once its last event has stated it whole; `index` is its place in the output."""

    def __init__(self, index: int, item: dict[str, Any]) -> None:
        self.index = index
        self.is_done = self.is_announced = False
        self._base: dict[str, Any] = {}
        self._texts: dict[str, Text] = {}
        self._parts: dict[str, dict[int, Part]] = {name: {} for name in LISTS}
        self._commands: dict[int, Text] = {}
        self._outputs: dict[int, Any] = {}
        self.take(item)

    @property
    def id(self) -> str:
        return str(self._base.get("id") or "")

    @property
    def kind(self) -> str:
        return str(self._base.get("type") or "")

    def take(self, item: dict[str, Any]) -> None:
        """The item as an event states it. A list or text that it leaves empty does not undo what has been streamed."""
        self._base = {**self._base, **item}
        for name in TEXTS:
            if isinstance(item.get(name), str):
                self.text(name).replace(item[name])
        for name in LISTS:
            parts = item.get(name)
            if isinstance(parts, list) and parts:
                streamed = self._parts[name]
                self._parts[name] = {i: part for i, part in streamed.items() if i < len(parts)}
                for i, part in enumerate(parts):
                    self._take_part(name, i, part)

    def _take_part(self, name: str, index: int, part: Any) -> None:
        if not isinstance(part, dict):
            return
        if index in self._parts[name]:
            self._parts[name][index].take(part)
        else:
            self._parts[name][index] = Part(part)

    def text(self, name: str) -> Text:
        return self._texts.setdefault(name, Text())

    def part(self, name: str, index: Any, kind: str) -> Part:
        parts = self._parts[name]
        index = index if isinstance(index, int) else max(parts, default=0)
        if index not in parts:
            text = {"refusal" if kind == "refusal" else "text": ""}
            extra: dict[str, Any] = {"annotations": []} if kind == "output_text" else {}
            parts[index] = Part({"type": kind, **text, **extra})
        return parts[index]

    def command(self, index: Any) -> Text:
        return self._commands.setdefault(index if isinstance(index, int) else 0, Text())

    def add_output(self, index: Any, delta: Any) -> None:
        """More of what a shell command wrote."""
        index = index if isinstance(index, int) else 0
        if not isinstance(self._outputs.get(index), Record):
            self._outputs[index] = Record({"stdout": Text, "stderr": Text}, Value)
        self._outputs[index].add(delta)

    def end_output(self, index: Any, output: Any) -> None:
        self._outputs[index if isinstance(index, int) else 0] = output

    def become(self, status: str) -> None:
        """The status that an event says, unless the item has been stated whole."""
        if not self.is_done:
            self._base = {**self._base, "status": status}

    def whole(self) -> dict[str, Any]:
        item = dict(self._base)
        for name, text in self._texts.items():
            if (said := text.whole()) is not None:
                item[name] = said
            else:
                item.setdefault(name, "")
        for name, parts in self._parts.items():
            if parts and not (self.is_done and _has_odd_parts(item.get(name))):
                item[name] = [parts[index].whole() for index in sorted(parts)]
        if self._commands and not self.is_done:
            action = item.get("action") if isinstance(item.get("action"), dict) else {}
            commands = [self._commands[index].whole() or "" for index in sorted(self._commands)]
            item["action"] = {**(action or {}), "commands": commands}
        if self._outputs and not item.get("output"):
            item["output"] = [entry for index in sorted(self._outputs) for entry in _entries(self._outputs[index])]
        return item


def _has_odd_parts(parts: Any) -> bool:
    return isinstance(parts, list) and not all(isinstance(part, dict) for part in parts)


def _entries(output: Any) -> list[Any]:
    if isinstance(output, Record):
        return [output.whole()]
    return output if isinstance(output, list) else []
