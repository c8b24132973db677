"""The output of a response: which item an event is about, and what it says of it."""

from __future__ import annotations

from typing import Any

from llm.json_values import Json
from llm.operations.accumulation.responses.items import Item, Part

# What an event is about, the type of its item, and the item's field.
TEXTS_OF_ITEMS = {
    "function_call_arguments": ("function_call", "arguments"),
    "mcp_call_arguments": ("mcp_call", "arguments"),
    "custom_tool_call_input": ("custom_tool_call", "input"),
    "code_interpreter_call_code": ("code_interpreter_call", "code"),
}

# What an event is about, the type of its item, the item's list, and the event's field that says which part.
TEXTS_OF_PARTS = {
    "output_text": ("message", "content", "content_index"),
    "refusal": ("message", "content", "content_index"),
    "reasoning_text": ("reasoning", "content", "content_index"),
    "reasoning_summary_text": ("reasoning", "summary", "summary_index"),
}

PARTS = {"content_part": ("content", "content_index"), "reasoning_summary_part": ("summary", "summary_index")}

# Items whose events say nothing but their status. `mcp_list_tools` has none.
CALLS = frozenset(
    f"{tool}_call" for tool in ("web_search", "file_search", "code_interpreter", "image_generation", "mcp")
)


class Output:
    """The items, told apart by id and place together. A delta for an item that nothing has announced begins it."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._by_id: dict[str, Item] = {}
        self._by_index: dict[int, Item] = {}

    def whole(self, ended_as: str | None) -> list[Json]:
        """The items so far. One that has no last event of its own ended as the response did, if it has ended."""
        items = [item.whole() for item in sorted(self._items, key=lambda item: item.index)]
        return [
            {**item, "status": ended_as} if ended_as and item.get("status") == "in_progress" else item for item in items
        ]

    def add(self, event: Json, subject: str, verb: str) -> None:
        """Take note of an event that is about an item: `subject` and `verb` are the words of its type."""
        if subject == "output_item":
            self._take(event, is_done=verb == "done")
        elif subject in TEXTS_OF_ITEMS:
            self._add_to_item(event, subject, verb)
        elif subject in PARTS:
            self._take_part(event, subject)
        elif subject.removesuffix(".annotation") in TEXTS_OF_PARTS:
            self._add_to_part(event, subject, verb)
        elif subject in CALLS and verb != "partial_image":
            self._item_of(event, subject).become(verb)
        elif subject.startswith("shell_call"):
            self._add_to_shell(event, subject, verb)

    def _take(self, event: Json, *, is_done: bool) -> None:
        item = event.get("item")
        if not isinstance(item, dict):
            return
        known = self._known(event.get("output_index"), item, is_done=is_done)
        if known is None:
            known = self._begin(event.get("output_index"), item)
        else:
            known.take(item)
        known.is_announced = True
        known.is_done = known.is_done or is_done
        if known.id:
            self._by_id[known.id] = known

    def _known(self, index: Any, item: Json, *, is_done: bool) -> Item | None:
        """The item that an event states: the one with its id, or else the one at its place, unless that is another."""
        if item.get("id") and (named := self._by_id.get(str(item["id"]))):
            return named
        there = self._by_index.get(index) if isinstance(index, int) else None
        if there is None or there.is_done or there.kind not in ("", str(item.get("type") or "")):
            return None
        # vLLM has given one item a new id with each event.
        is_same = is_done or not there.is_announced or not (there.id and item.get("id"))
        return there if is_same else None

    def _item_of(self, event: Json, kind: str) -> Item:
        """The item that an event adds to. Where nothing has announced it, it begins here."""
        index, item_id = event.get("output_index"), str(event.get("item_id") or "")
        if item_id and item_id in self._by_id:
            return self._by_id[item_id]
        candidates = [self._by_index.get(index)] if isinstance(index, int) else self._items[-1:]
        for item in candidates:
            if item is not None and (not kind or item.kind in ("", kind)):
                return item
        fields: Json = {"id": item_id} if item_id else {}
        message: Json = {"role": "assistant", "content": []} if kind == "message" else {}
        return self._begin(index, {**fields, "type": kind, "status": "in_progress", **message})

    def _begin(self, index: Any, item: Json) -> Item:
        begun = Item(index if isinstance(index, int) else len(self._items), item)
        self._items.append(begun)
        self._by_index[begun.index] = begun
        if begun.id:
            self._by_id[begun.id] = begun
        return begun

    def _add_to_item(self, event: Json, subject: str, verb: str) -> None:
        kind, field = TEXTS_OF_ITEMS[subject]
        item = self._item_of(event, kind)
        if verb == "delta":
            item.text(field).add(event.get("delta"))
        elif verb == "done":
            item.text(field).replace(event.get(field))
            if isinstance(name := event.get("name"), str) and name:
                item.take({"name": name})

    def _add_to_part(self, event: Json, subject: str, verb: str) -> None:
        what = subject.removesuffix(".annotation")
        kind, name, place = TEXTS_OF_PARTS[what]
        part_kind = "summary_text" if what == "reasoning_summary_text" else what
        part: Part = self._item_of(event, kind).part(name, event.get(place), part_kind)
        if subject != what:
            part.annotate(event.get("annotation_index"), event.get("annotation"))
        elif verb == "delta":
            part.add(event.get("delta"), event.get("logprobs"))
        elif verb == "done":
            part.end(event.get("refusal" if what == "refusal" else "text"), event.get("logprobs"))

    def _take_part(self, event: Json, subject: str) -> None:
        name, place = PARTS[subject]
        part = event.get("part")
        if isinstance(part, dict):
            kind = str(part.get("type") or "")
            item = self._item_of(event, "reasoning" if kind in ("reasoning_text", "summary_text") else "message")
            item.part(name, event.get(place), kind).take(part)

    def _add_to_shell(self, event: Json, subject: str, verb: str) -> None:
        index = event.get("command_index")
        if subject == "shell_call_command":
            command = self._item_of(event, "shell_call").command(index)
            if verb == "delta":
                command.add(event.get("delta"))
            else:
                command.replace(event.get("command"))
        elif subject == "shell_call_output_content":
            item = self._item_of(event, "shell_call_output")
            if verb == "delta":
                item.add_output(index, event.get("delta"))
            else:
                item.end_output(index, event.get("output"))
