"""Chat completions. Source: OpenAI's API reference, "Chat"."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from tests.ledger.upstream.plans import Plan
from tests.ledger.upstream.prices import Tokens
from tests.ledger.upstream.protocol.spoken import AUDIO_PER_TEXT, REASONING_STEP, Spoken
from tests.ledger.upstream.protocol.steps import Step

Json = dict[str, Any]

# What stands for a piece of speech. Its length says nothing of its tokens.
SPEECH = base64.b64encode(bytes(48)).decode()


def event(data: Json | str) -> bytes:
    return f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\n\n".encode()


class ChatAnswer:
    def __init__(self, answer_id: str, model: str, plan: Plan, spoken: Spoken, *, include_usage: bool) -> None:
        self._head: Json = {"id": answer_id, "created": 1_795_000_000, "model": model, "service_tier": plan.tier}
        self._plan = plan
        self._spoken = spoken
        self._include_usage = include_usage

    @property
    def _finish_reason(self) -> str:
        if self._spoken.function:
            return "tool_calls"
        return "length" if self._plan.cut_short else "stop"

    def whole(self, tokens: Tokens) -> Json:
        message: Json = {"role": "assistant", "content": self._spoken.text, "refusal": None}
        if self._spoken.function:
            call = {"name": self._spoken.function, "arguments": self._spoken.text}
            message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
        elif self._spoken.aloud:
            audio = {"id": "audio_1", "expires_at": 1_795_003_600, "data": SPEECH, "transcript": self._spoken.text}
            message |= {"content": None, "audio": audio}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
        return self._head | {"object": "chat.completion", "choices": [choice], "usage": usage(tokens)}

    def steps(self) -> Iterator[Step]:
        """All that is made and sent, without the end."""
        plan, spoken = self._plan, self._spoken
        yield from hidden_steps(plan)
        first: Json = {"role": "assistant", "content": None if spoken.function else "", "refusal": None}
        if spoken.function:
            function = {"name": spoken.function, "arguments": ""}
            first["tool_calls"] = [{"index": 0, "id": "call_1", "type": "function", "function": function}]
        yield Step(text=spoken.frame, seconds=spoken.frame * plan.seconds_per_token, data=self._chunk(first))
        for text, count in spoken.pieces:
            audio = count * AUDIO_PER_TEXT if spoken.aloud else 0
            yield Step(
                seconds=(count + audio) * plan.seconds_per_token,
                text=count,
                audio=audio,
                data=self._chunk(self._delta(text)),
            )

    def end(self, tokens: Tokens) -> Iterator[bytes]:
        yield self._chunk({}, self._finish_reason)
        if self._include_usage:
            yield event(self._head | {"object": "chat.completion.chunk", "choices": [], "usage": usage(tokens)})
        yield event("[DONE]")

    def error(self) -> bytes:
        error = {"message": "The server had an error while processing your request.", "type": "server_error"}
        return event({"error": error | {"param": None, "code": None}})

    def _delta(self, text: str) -> Json:
        if self._spoken.function:
            return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        if self._spoken.aloud:
            return {"audio": {"id": "audio_1", "data": SPEECH, "transcript": text}}
        return {"content": text}

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._head | {"object": "chat.completion.chunk", "choices": [choice]}
        return event(chunk | {"usage": None} if self._include_usage else chunk)


def hidden_steps(plan: Plan) -> Iterator[Step]:
    """Reasoning of which nothing is sent."""
    for made in range(0, plan.reasoning, REASONING_STEP):
        count = min(REASONING_STEP, plan.reasoning - made)
        yield Step(seconds=count * plan.seconds_per_token, reasoning=count)


def usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cached,
            "cache_write_tokens": tokens.written,
            "audio_tokens": tokens.audio_in,
        },
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": tokens.audio_out,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
