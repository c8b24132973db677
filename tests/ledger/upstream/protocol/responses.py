"""The Responses API. Source: OpenAI's API reference, "Responses" and "Streaming events"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.ledger.upstream.plans import Plan
from tests.ledger.upstream.prices import Searches, Tokens
from tests.ledger.upstream.protocol.chat import hidden_steps
from tests.ledger.upstream.protocol.spoken import Spoken
from tests.ledger.upstream.protocol.steps import Step

Json = dict[str, Any]

# Seconds that one search takes.
SEARCH_SECONDS = 0.02


class ResponseAnswer:
    def __init__(self, answer_id: str, model: str, plan: Plan, spoken: Spoken) -> None:
        self._id = answer_id
        self._model = model
        self._plan = plan
        self._spoken = spoken
        self._sequence = 0

    def whole(self, tokens: Tokens) -> Json:
        items = [*self._reasoning_items(), *(item for item, _ in self._search_items()), *self._last_items()]
        return self._response("incomplete" if self._plan.cut_short else "completed", items, tokens)

    def steps(self) -> Iterator[Step]:
        plan = self._plan
        yield Step(data=self._event("response.created", response=self._response("in_progress", [], None)))
        yield Step(data=self._event("response.in_progress", response=self._response("in_progress", [], None)))
        index = 0
        for item in self._reasoning_items():
            yield Step(data=self._event("response.output_item.added", output_index=index, item=item))
            yield from hidden_steps(plan)
            yield Step(data=self._event("response.output_item.done", output_index=index, item=item))
            index += 1
        for item, searches in self._search_items():
            begun = item | {"status": "in_progress"}
            place: Json = {"output_index": index, "item_id": item["id"]}
            yield Step(data=self._event("response.output_item.added", output_index=index, item=begun))
            yield Step(data=self._event(f"response.{item['type']}.in_progress", **place))
            yield Step(data=self._event(f"response.{item['type']}.searching", **place))
            yield Step(
                seconds=SEARCH_SECONDS,
                searches=searches,
                search_content=plan.search_content // plan.searches.web if searches.web else 0,
                data=self._event(f"response.{item['type']}.completed", **place),
            )
            yield Step(data=self._event("response.output_item.done", output_index=index, item=item))
            index += 1
        for item in self._last_items():
            yield from self._saying(item, index)

    def end(self, tokens: Tokens) -> Iterator[bytes]:
        whole = self.whole(tokens)
        yield self._event(f"response.{whole['status']}", response=whole)

    def error(self) -> bytes:
        error = {"code": "server_error", "message": "The server had an error while processing your request."}
        return self._event("response.failed", response=self._response("failed", [], None) | {"error": error})

    def _saying(self, item: Json, index: int) -> Iterator[Step]:
        plan, spoken = self._plan, self._spoken
        place: Json = {"item_id": item["id"], "output_index": index}
        if spoken.function:
            begun = item | {"status": "in_progress", "arguments": ""}
            delta, done = "response.function_call_arguments.delta", "response.function_call_arguments.done"
            result: Json = {"arguments": spoken.text}
        else:
            begun = item | {"status": "in_progress", "content": []}
            place["content_index"] = 0
            delta, done = "response.output_text.delta", "response.output_text.done"
            result = {"text": spoken.text}
        frame = spoken.frame
        added = self._event("response.output_item.added", output_index=index, item=begun)
        yield Step(seconds=frame * plan.seconds_per_token, text=frame, data=added)
        if not spoken.function:
            empty = {"type": "output_text", "text": "", "annotations": []}
            yield Step(data=self._event("response.content_part.added", **place, part=empty))
        for text, count in spoken.pieces:
            data = self._event(delta, **place, delta=text) if text else b""
            yield Step(seconds=count * plan.seconds_per_token, text=count, data=data)
        yield Step(data=self._event(done, **place, **result))
        if not spoken.function:
            yield Step(data=self._event("response.content_part.done", **place, part=item["content"][0]))
        yield Step(data=self._event("response.output_item.done", output_index=index, item=item))

    def _reasoning_items(self) -> list[Json]:
        return [{"id": "rs_1", "type": "reasoning", "summary": []}] if self._plan.reasoning else []

    def _search_items(self) -> Iterator[tuple[Json, Searches]]:
        """The calls of tools that the provider runs. A page that is opened has no fee, and is an item all the same."""
        plan = self._plan
        for number in range(plan.searches.web):
            action = {"type": "search", "query": "library opening hours", "queries": ["library opening hours"]}
            yield _search("web_search_call", f"ws_{number}", action=action), Searches(web=1)
        for number in range(plan.pages_opened):
            action = {"type": "open_page", "url": "https://example.com/library"}
            yield _search("web_search_call", f"wp_{number}", action=action), Searches()
        for number in range(plan.searches.file):
            yield _search("file_search_call", f"fs_{number}", queries=["library"], results=None), Searches(file=1)

    def _last_items(self) -> list[Json]:
        """What is said, if anything is: the limit may have been reached while the model was reasoning."""
        spoken = self._spoken
        if spoken.function:
            call: Json = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
            return [call | {"name": spoken.function, "arguments": spoken.text}]
        if not spoken.pieces:
            return []
        part = {"type": "output_text", "text": spoken.text, "annotations": []}
        return [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}]

    def _response(self, status: str, output: list[Json], tokens: Tokens | None) -> Json:
        return {
            "id": self._id,
            "object": "response",
            "created_at": 1_795_000_000,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "model": self._model,
            "output": output,
            "service_tier": self._plan.tier if tokens else "auto",
            "usage": None if tokens is None else usage(tokens),
        }

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _search(kind: str, item_id: str, **fields: Any) -> Json:
    return {"id": item_id, "type": kind, "status": "completed", **fields}


def usage(tokens: Tokens) -> Json:
    return {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.prompt + tokens.completion,
    }
