"""A response of the Responses API in OpenAI's shape, whole and as the events of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final, Literal

from llm.simulator.answer import ParsedRequest
from llm.simulator.apis.responses_request import ResponsesRequest
from llm.simulator.generation.model_output import ModelOutput, generate
from llm.simulator.generation.tokens import TokenCounts
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.serving.server_sent_events import event

_Status = Literal["in_progress", "completed", "incomplete"]

# The finish reasons of chat completions that make a response incomplete, with the reason that this API gives for it.
_INCOMPLETE: Final[Mapping[str, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}


def parse_responses(payload: Mapping[str, Any]) -> ParsedRequest:
    """Read a request of the Responses API. Raises Refusal (400), which names the wrong parameter."""
    request = ResponsesRequest.from_payload(payload)
    return ParsedRequest.of(request.prompt.tokens, partial(_respond, request), stream=request.stream)


def _respond(request: ResponsesRequest, behaviour: Behaviour) -> ResponsesAnswer:
    output = generate(request.prompt, behaviour)
    return ResponsesAnswer(
        model=request.prompt.model,
        repeated=request.repeated,
        output=output,
        # The first event of a tool call already carries the tool's name. So the empty piece that stands for the name is
        # left out.
        pieces=tuple(piece for piece in output.pieces if piece),
        tokens=TokenCounts.of(request.prompt.tokens, len(output.pieces), behaviour),
    )


@dataclass(frozen=True, slots=True)
class ResponsesAnswer:
    """A response with a single item: a message with one text, or a function call."""

    model: str
    repeated: Mapping[str, Any]
    output: ModelOutput
    pieces: tuple[str, ...]
    tokens: TokenCounts | None
    id: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    item_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    call_id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")
    created: int = field(default_factory=lambda: int(time.time()))
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def chunks(self) -> int:
        """How many deltas there are."""
        return len(self.pieces)

    @property
    def generated(self) -> int:
        """One token for each delta, and one for the name of a tool."""
        return len(self.output.pieces)

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The response. With `until`, it is still in progress and has only that many deltas in it."""
        if until is None:
            return self._response(self._end, [self._item(self._end, self._text)])
        return self._response("in_progress", [self._item("in_progress", "".join(self.pieces[:until]))])

    def opening_events(self) -> Iterator[bytes]:
        """The events with which the response and its item begin."""
        for name in ("response.created", "response.in_progress"):
            yield self._event(name, response=self._response("in_progress", []))
        begun = self._item("in_progress", "")
        if self.output.tool is None:
            yield self._event("response.output_item.added", output_index=0, item=begun | {"content": []})
            yield self._part_event("response.content_part.added", part=_output_text(""))
        else:
            yield self._event("response.output_item.added", output_index=0, item=begun)

    def content_events(self) -> Iterator[bytes]:
        """The content, one event for each delta."""
        for piece in self.pieces:
            if self.output.tool is None:
                yield self._part_event("response.output_text.delta", delta=piece, logprobs=[])
            else:
                yield self._item_event("response.function_call_arguments.delta", delta=piece)

    def closing_events(self) -> Iterator[bytes]:
        """The events with which everything that began is done. The last one has the whole response with its usage."""
        if self.output.tool is None:
            yield self._part_event("response.output_text.done", text=self._text, logprobs=[])
            yield self._part_event("response.content_part.done", part=_output_text(self._text))
        else:
            yield self._item_event("response.function_call_arguments.done", arguments=self._text)
        yield self._event("response.output_item.done", output_index=0, item=self._item(self._end, self._text))
        yield self._event(f"response.{self._end}", response=self.whole())

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """This API has an event of its own for errors, without an `error` object and without the type of the error."""
        return self._event("error", **{name: error.get(name) for name in ("code", "message", "param")})

    @property
    def _end(self) -> _Status:
        return "incomplete" if self.output.finish_reason in _INCOMPLETE else "completed"

    @property
    def _text(self) -> str:
        return "".join(self.pieces)

    @property
    def _own_item_id(self) -> str:
        return f"{'msg' if self.output.tool is None else 'fc'}_{self.item_id}"

    def _response(self, status: _Status, items: list[dict[str, Any]]) -> dict[str, Any]:
        reason = _INCOMPLETE.get(self.output.finish_reason) if status == "incomplete" else None
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self.model,
            "output": items,
            "usage": None if self.tokens is None or status == "in_progress" else _usage(self.tokens),
            **self.repeated,
        }

    def _item(self, status: _Status, text: str) -> dict[str, Any]:
        head = {"id": self._own_item_id, "status": status}
        tool = self.output.tool
        if tool is None:
            return head | {"type": "message", "role": "assistant", "content": [_output_text(text)]}
        return head | {"type": "function_call", "call_id": self.call_id, "name": tool.name, "arguments": text}

    def _event(self, name: str, **payload: Any) -> bytes:
        return event({"type": name, "sequence_number": next(self._numbers), **payload}, name=name)

    def _item_event(self, name: str, **payload: Any) -> bytes:
        return self._event(name, item_id=self._own_item_id, output_index=0, **payload)

    def _part_event(self, name: str, **payload: Any) -> bytes:
        return self._item_event(name, content_index=0, **payload)


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(tokens: TokenCounts) -> dict[str, Any]:
    return {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": 0},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.total,
    }
