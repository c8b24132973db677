"""The usage in an answer cache, which processes of several versions may share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.call.answer_cache import AnswerCache, _name
from chat.call.answer_store import MemoryAnswerStore
from llm import COUNTS, Usage
from tests.support.outcomes import an_order, outcome_of

USAGE = Usage(
    **{name: number for number, name in enumerate(COUNTS, start=1)},  # each count is another one
    estimated=True,
)
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
}


@pytest.fixture
async def kept() -> AsyncIterator[tuple[AnswerCache, MemoryAnswerStore, str]]:
    """A cache with one answer, its store, and the name of the answer."""
    store = MemoryAnswerStore(1_000_000)
    cache = AnswerCache(store)
    await cache.keep(ORDER, outcome_of(completion=ANSWER, usage=USAGE, service_tier="flex"))
    yield cache, store, _name(ORDER)


ORDER = an_order(cache_ttl=60)
Kept = tuple[AnswerCache, MemoryAnswerStore, str]


async def test_every_count_and_the_tier_come_out_of_the_cache_and_the_cost_is_exactly_nothing(kept: Kept) -> None:
    found = await kept[0].find(ORDER)
    assert found is not None
    assert (found.usage, found.service_tier) == (USAGE, "flex")
    assert (found.cost_usd, found.cost_estimated, found.cost_incomplete) == (0, False, False)


async def test_a_process_of_the_version_before_can_read_what_is_kept(kept: Kept) -> None:
    """It makes a usage of all that is under `usage`, and knows five fields of one. It reads no other new name."""
    written = json.loads(await kept[1].get(kept[2]) or "")
    known = {"prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "estimated"}
    assert set(written["usage"]) == known
    assert {"completion", "model_used", "provider_used", "usage"} <= set(written)


async def test_what_the_version_before_has_kept_is_read_and_so_is_what_the_next_one_may_keep(kept: Kept) -> None:
    cache, store, name = kept
    written = json.loads(await store.get(name) or "")
    old = {field: value for field, value in written.items() if field not in ("more_usage", "service_tier")}
    await store.put(name, json.dumps(old), 60)
    found = await cache.find(ORDER)
    assert found is not None
    assert found.usage == Usage(1, 2, 3, 4, estimated=True)
    assert found.service_tier == ""
    written["more_usage"]["moon_searches"] = 7
    await store.put(name, json.dumps(written | {"moon": "full"}), 60)
    found = await cache.find(ORDER)
    assert found is not None
    assert found.usage == USAGE


@pytest.mark.parametrize("more", [[1], "many", {"web_searches": "many"}, {"web_searches": None}, None])
async def test_counts_that_can_be_none_are_no_answer_and_no_error(kept: Kept, more: Any) -> None:
    cache, store, name = kept
    written = json.loads(await store.get(name) or "")
    await store.put(name, json.dumps(written | {"more_usage": more}), 60)
    assert await cache.find(ORDER) is None
