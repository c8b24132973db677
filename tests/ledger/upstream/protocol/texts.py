"""Completions and embeddings. Source: OpenAI's API reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.ledger.upstream.plans import Plan
from tests.ledger.upstream.prices import Tokens
from tests.ledger.upstream.protocol.chat import event
from tests.ledger.upstream.protocol.spoken import Spoken
from tests.ledger.upstream.protocol.steps import Step

Json = dict[str, Any]


class CompletionAnswer:
    def __init__(self, answer_id: str, model: str, plan: Plan, spoken: Spoken, *, include_usage: bool) -> None:
        self._head: Json = {"id": answer_id, "object": "text_completion", "created": 1_795_000_000, "model": model}
        self._plan = plan
        self._spoken = spoken
        self._include_usage = include_usage

    def whole(self, tokens: Tokens) -> Json:
        return self._head | {"choices": [self._choice(self._spoken.text, self._finish_reason)], "usage": usage(tokens)}

    def steps(self) -> Iterator[Step]:
        for text, count in self._spoken.pieces:
            data = event(self._head | {"choices": [self._choice(text, None)]})
            yield Step(seconds=count * self._plan.seconds_per_token, text=count, data=data)

    def end(self, tokens: Tokens) -> Iterator[bytes]:
        yield event(self._head | {"choices": [self._choice("", self._finish_reason)]})
        if self._include_usage:
            yield event(self._head | {"choices": [], "usage": usage(tokens)})
        yield event("[DONE]")

    def error(self) -> bytes:
        return event({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})

    @property
    def _finish_reason(self) -> str:
        return "length" if self._plan.cut_short else "stop"

    def _choice(self, text: str, finish_reason: str | None) -> Json:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


def embeddings(model: str, inputs: int, tokens: Tokens) -> Json:
    """Vectors of two dimensions, because nobody looks at them."""
    data = [{"object": "embedding", "index": index, "embedding": [0.6, 0.8]} for index in range(inputs)]
    counts = {"prompt_tokens": tokens.prompt, "total_tokens": tokens.prompt}
    return {"object": "list", "model": model, "data": data, "usage": counts}


def usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
    }
