"""The whole answer of a stream of chat completions."""

from __future__ import annotations

from typing import Any, ClassVar

from llm.operations.accumulation.blocks import Blocks
from llm.operations.accumulation.choices import Choice, ChoicesAccumulator, Rest
from llm.operations.accumulation.content import Content
from llm.operations.accumulation.functions import Function
from llm.operations.accumulation.growing import Audio, Kind, Record, Text, Value
from llm.operations.accumulation.rows import DistinctRow, LooseValue
from llm.operations.accumulation.tool_calls import ToolCalls


class ProviderFields(Record):
    """LiteLLM's `provider_specific_fields`, which repeats the thoughts of the delta around it."""

    def __init__(self) -> None:
        super().__init__({"thinking_blocks": Blocks, "reasoning_content": Content}, LooseValue)


# The fields of a delta that come in pieces, and how. All others are as `LooseValue` says.
MESSAGE: dict[str, Kind] = {
    **dict.fromkeys(("content", "reasoning", "reasoning_content", "reasoning_text", "thinking"), Content),
    **dict.fromkeys(("reasoning_details", "thinking_blocks"), Blocks),
    **dict.fromkeys(("annotations", "images"), DistinctRow),
    "role": Value,
    "refusal": Text,
    "tool_calls": ToolCalls,
    "function_call": Function,
    "audio": Audio,
    "provider_specific_fields": ProviderFields,
}


class ChatChoice(Choice):
    """One choice: its message, put together from deltas.

    A `message` in a stream repeats the whole so far and takes the place of the pieces; what it leaves out or empty
    stays. Where a server sends its pieces as messages, they are told by this: no delta has come, and the text is not
    the one before with more at its end.
    """

    def __init__(self) -> None:
        self._message = Record(MESSAGE, LooseValue)
        self._rest = Rest()
        self._has_deltas = False

    def add(self, piece: dict[str, Any]) -> None:
        self._rest.add(piece)
        delta, message, text = piece.get("delta"), piece.get("message"), piece.get("text")
        # Where both speak, the message is the same piece in another dress (text-generation-webui).
        if isinstance(message, dict) and not _says_something(delta):
            self._add_message(message)
        elif isinstance(delta, dict):
            self._add_delta(delta)
        elif isinstance(delta, str):
            self._add_delta({"content": delta})
        # Together repeats each delta as `text`; alone, it is all that a server for text completions says.
        if isinstance(text, str) and text and not _says_something(delta) and not _says_something(message):
            self._add_delta({"content": text})

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"content": None, **(self._message.whole() or {})}
        message["role"] = message.get("role") or "assistant"
        return {"finish_reason": None, **self._rest.whole(), "message": message}

    def _add_delta(self, delta: dict[str, Any]) -> None:
        self._has_deltas = self._has_deltas or _says_something(delta)
        self._message.add(delta)

    def _add_message(self, message: dict[str, Any]) -> None:
        if not self._has_deltas and not self._is_whole(message.get("content")):
            self._message.add(message)
            return
        for name, value in message.items():
            if name not in self._message.parts or value:
                self._message.replace(name, _numbered(value) if name == "tool_calls" else value)

    def _is_whole(self, content: Any) -> bool:
        """Does a message's text hold the text so far?"""
        so_far = self._message.parts.get("content")
        if not isinstance(so_far, Content) or not isinstance(content, str) or not content:
            return True
        # The lengths are compared first, so that many small pieces don't cost their number squared.
        return len(content) >= so_far.length and content.startswith(str(so_far.whole() or ""))


def _says_something(part: Any) -> bool:
    """Has a delta or message more than a role?"""
    return bool(part) and (not isinstance(part, dict) or any(v for name, v in part.items() if name != "role"))


def _numbered(tool_calls: Any) -> Any:
    """Calls of a whole message, each of which is a call of its own."""
    if not isinstance(tool_calls, list):
        return tool_calls
    return [{**call, "index": i} if isinstance(call, dict) else call for i, call in enumerate(tool_calls)]


class ChatAccumulator(ChoicesAccumulator):
    object_name: ClassVar[str] = "chat.completion"
    choice_kind: ClassVar[type[Choice]] = ChatChoice
