"""The tool calls of a message.

Which call a piece belongs to is read from its index, id and name together, because no one of them can be relied on:
servers give two calls one index, or one call two, repeat ids and names, or leave them out.
"""

from __future__ import annotations

from typing import Any

from llm.operations.accumulation.functions import Arguments, Function, Name, begins_object
from llm.operations.accumulation.growing import Kind, Record, Value, index_of
from llm.operations.accumulation.rows import LooseValue


class FirstWord(Value):
    """An id. The first stands, because vLLM has sent a new one with every piece of the same call."""

    def add(self, value: Any) -> None:
        if not self._says_something():
            super().add(value)


class ToolCall:
    """One call. Functions are `function`, custom tools `custom`; some servers put name and arguments beside the id."""

    def __init__(self, index: int | None) -> None:
        self.index = index
        known: dict[str, Kind] = {
            "id": FirstWord,
            "function": Function,
            "custom": Function,
            "name": Name,
            "arguments": Arguments,
        }
        self._record = Record(known, LooseValue)

    @property
    def id(self) -> str:
        return _word(self._record.whole_of("id"))

    @property
    def name(self) -> str:
        return next((name for holder in self._holders() if (name := _word(holder.whole_of("name")))), "")

    @property
    def arguments(self) -> Arguments:
        parts = (holder.parts.get("arguments") for holder in self._holders())
        return next((part for part in parts if isinstance(part, Arguments)), Arguments())

    def add(self, piece: dict[str, Any]) -> None:
        function = piece.get("function")
        is_repeated = piece.get("id") or _name_of(piece)
        if is_repeated and isinstance(function, dict) and self.arguments.are_repeated_by(function.get("arguments")):
            function = {name: value for name, value in function.items() if name != "arguments"}
            piece = {**piece, "function": function}
        self._record.add({name: value for name, value in piece.items() if name != "index"})

    def ends_before(self, piece: dict[str, Any]) -> bool:
        """Does a piece at this call's place begin another one?"""
        name, call_id = _name_of(piece), _word(piece.get("id"))
        arguments = self.arguments
        if not (name or call_id):
            return False
        if name and self.name and call_id and self.id and call_id != self.id:
            # The same name while the arguments are half done: vLLM's new id for every piece.
            return not (name == self.name and arguments.have_begun and not arguments.have_ended())
        if not arguments.have_begun:
            return False
        if name and self.name and not name.startswith(self.name):
            return True
        more = _arguments_of(piece)
        return begins_object(more) and arguments.have_ended() and not arguments.are_repeated_by(more)

    def whole(self) -> dict[str, Any]:
        call: dict[str, Any] = self._record.whole()
        # OpenAI's SDK reads no call without a type.
        return call if call.get("type") or "function" not in call else {**call, "type": "function"}

    def _holders(self) -> list[Record]:
        inner = (self._record.parts.get(name) for name in ("function", "custom"))
        return [*(part for part in inner if isinstance(part, Record)), self._record]


class ToolCalls:
    """The calls, in the order of their indexes, or of their coming where they have none. The whole has no `index`."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._by_index: dict[int, ToolCall] = {}
        self._by_id: dict[str, ToolCall] = {}
        self._is_list = False

    def add(self, value: Any) -> None:
        pieces = [value] if isinstance(value, dict) else value
        if isinstance(pieces, list):
            self._is_list = True
            for piece in pieces:
                if isinstance(piece, dict):
                    self._call_of(piece).add(piece)

    def whole(self) -> Any:
        if not self._calls:
            return [] if self._is_list else None
        if all(call.index is not None for call in self._calls):
            return [call.whole() for call in sorted(self._calls, key=lambda call: call.index or 0)]
        return [call.whole() for call in self._calls]

    def _call_of(self, piece: dict[str, Any]) -> ToolCall:
        index, call_id = index_of(piece), _word(piece.get("id"))
        call = self._known(index, call_id, _name_of(piece))
        if call is None or call.ends_before(piece):
            call = ToolCall(index)
            self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        if call_id:
            self._by_id[call_id] = call
        return call

    def _known(self, index: int | None, call_id: str, name: str) -> ToolCall | None:
        """The call that a piece goes on with, unless it says itself that it begins another."""
        there = None if index is None else self._by_index.get(index)
        named = self._by_id.get(call_id)
        if named is not None and (there is None or there.id != call_id) and (not name or name.startswith(named.name)):
            # LocalAI has sent one call at several indexes. Another name under the same id is another call.
            return named
        last = self._calls[-1] if self._calls else None
        if index is None:
            return None if last is not None and call_id and last.id else last
        if there is None and not call_id and not name:
            # The head of DeepSeek's second call came at index 0, and its tail at index 1.
            return last
        return there


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name_of(piece: dict[str, Any]) -> str:
    holders = (piece.get("function"), piece.get("custom"), piece)
    return next((name for holder in holders if isinstance(holder, dict) and (name := _word(holder.get("name")))), "")


def _arguments_of(piece: dict[str, Any]) -> Any:
    function = piece.get("function")
    return function.get("arguments") if isinstance(function, dict) else piece.get("arguments")
