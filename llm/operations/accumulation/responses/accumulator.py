"""A response, put together from its events. Source: OpenAI's API reference, "Responses", streaming events."""

from __future__ import annotations

from typing import Any

from llm.json_values import Json
from llm.operations.accumulation.growing import Audio
from llm.operations.accumulation.responses.output import Output

# The events that state the whole response.
ENDS = ("completed", "incomplete", "failed", "cancelled", "done")


class ResponseAccumulator:
    """The response that the last event states. Before that, and where it leaves the output empty (as vLLM and others
    do), the items that were streamed.

    Partial images are left out: each is a draft of the whole, as large as it is, and the item has a place for the last.
    """

    def __init__(self) -> None:
        self._stated: Json = {}
        self._end: Json | None = None
        self._output, self._audio = Output(), Audio()

    def add(self, chunk: Any) -> None:
        if not isinstance(chunk, dict):
            return
        kind = str(chunk.get("type") or "")
        subject, _, verb = kind.removeprefix("response.").rpartition(".")
        response = chunk.get("response")
        if kind == "error":
            self._take({"status": "failed", "error": _error_of(chunk)}, "failed")
        elif isinstance(response, dict):
            self._take(response, verb)
        elif chunk.get("object") == "response":
            self._take(chunk, str(chunk.get("status") or "completed"))
        elif kind in [f"response.{end}" for end in ENDS]:
            self._take({}, verb)
        elif subject in ("audio", "audio.transcript") and verb == "delta":
            self._audio.add({"data" if subject == "audio" else "transcript": chunk.get("delta")})
        else:
            self._output.add(chunk, subject, verb)

    def answer(self) -> Json:
        answer: Json = {**self._stated, **(self._end or {}), "object": "response"}
        answer["status"] = answer.get("status") or "in_progress"
        if self._end is None or not answer.get("output"):
            items = self._output.whole(None if self._end is None else str(answer["status"]))
            answer["output"] = items or answer.get("output") or []
        # No event says which item it belongs to, and a response has no place for it, but it was paid for.
        if audio := self._audio.whole():
            answer.setdefault("audio", audio)
        return answer

    def _take(self, response: Json, verb: str) -> None:
        if verb in ENDS:
            status: Json = {} if response.get("status") else {"status": "completed" if verb == "done" else verb}
            self._end = {**(self._end or {}), **response, **status}
        else:
            self._stated = {**self._stated, **response}


def _error_of(event: Json) -> Json:
    error = event.get("error")
    return error if isinstance(error, dict) else {name: event.get(name) for name in ("code", "message")}
