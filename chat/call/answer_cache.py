"""Answers that may be given again to exactly the same request. Only a caller that asked for it gets one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chat.call.answer_store import AnswerStore, open_answer_store
from chat.order import Order
from llm import COUNTS, CallOutcome, CallStatus, UpstreamError, Usage

logger = logging.getLogger("chat.cache")

# The fields of a usage that every version reads. The others are kept apart from them, because a process of a version
# that does not know a field could not read the answer.
OLD_USAGE = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "estimated")
USAGE = frozenset((*COUNTS, "estimated"))

# An answer that takes more than this is not kept.
MAX_ANSWER_BYTES = 4 * 1024 * 1024


class AnswerCache:
    """Whole answers. The key is the request as the engine gets it, together with the name of the caller's API key."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store

    async def find(self, order: Order) -> CallOutcome | None:
        """An answer to exactly this request, as an outcome that cost nothing."""
        found = await self._store.get(_name(order))
        if found is None:
            return None
        try:
            return _outcome(order, found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UpstreamError) as error:
            # Other programs may write into a Redis that is shared, so what is found may be anything.
            logger.warning("cache_unreadable", extra={"request_id": order.request_id, "error": type(error).__name__})
            return None

    async def keep(self, order: Order, outcome: CallOutcome) -> None:
        """Keep the answer of a call that a model answered, unless it is empty: the next one may not be."""
        if outcome.status is not CallStatus.SUCCEEDED or outcome.completion is None:
            return
        try:
            order.request.operation.check(outcome.completion, order.request.body)
        except UpstreamError:
            return
        usage = dataclasses.asdict(outcome.usage) if outcome.usage else {}
        written = json.dumps(
            {
                "completion": outcome.completion,
                "model_used": outcome.model_used,
                "provider_used": outcome.provider_used,
                "usage": {name: usage[name] for name in OLD_USAGE} if usage else None,
                "more_usage": {name: count for name, count in usage.items() if count and name not in OLD_USAGE},
                "service_tier": outcome.service_tier,
            }
        )
        if len(written) <= MAX_ANSWER_BYTES:
            await self._store.put(_name(order), written, order.cache_ttl)


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Without `redis_url` the answers are kept in this process, at most `max_bytes` of them."""

    redis_url: str = ""
    max_bytes: int = 64 * 1024 * 1024


@asynccontextmanager
async def open_cache(config: CacheConfig) -> AsyncGenerator[AnswerCache]:
    """A cache for the life of an event loop."""
    async with open_answer_store(redis_url=config.redis_url, max_bytes=config.max_bytes) as store:
        yield AnswerCache(store)


def _outcome(order: Order, found: str) -> CallOutcome:
    """The outcome that a cached text stands for. Raises many kinds of errors if this cache has not written the text."""
    written = json.loads(found)
    operation, completion = order.request.operation, written["completion"]
    operation.check(completion, order.request.body)
    if order.request.stream:
        operation.chunks_of(completion)
    return CallOutcome(
        status=CallStatus.SUCCEEDED,
        attempts=(),
        latency_ms=0,
        content=operation.text(completion),
        completion=completion,
        answer=completion,
        completion_id=operation.answer_id(completion),
        model_used=str(written["model_used"]),
        provider_used=str(written["provider_used"]),
        finish_reason=operation.finish_reason(completion),
        service_tier=str(written.get("service_tier") or ""),
        usage=_usage(written["usage"], written.get("more_usage", {})),
        cost_usd=Decimal(0),
        cached=True,
    )


def _usage(kept: Any, more: Any) -> Usage | None:
    """The usage that was kept. Fields that this version does not know are left out: a later one has written them."""
    if kept is None:
        return None
    known = {name: count for name, count in {**kept, **more}.items() if name in USAGE}
    if not all(isinstance(count, int) for count in known.values()):
        raise TypeError("a count of tokens is no number")
    return Usage(**known)


def _name(order: Order) -> str:
    """The name of an answer: a hash of the request, without the way in which the answer is to be sent."""
    request = order.request
    stages = [[[model.provider, model.name] for model in stage.models] for stage in request.route.stages]
    body = request.operation.whole_body(request.body)
    asked = json.dumps([order.caller.name, request.operation.name, stages, body], sort_keys=True)
    return f"answer:{hashlib.sha256(asked.encode()).hexdigest()}"
