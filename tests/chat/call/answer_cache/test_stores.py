"""What the two stores of answers keep, in process and in Redis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from chat.call.answer_store import ENTRY_OVERHEAD_BYTES, MemoryAnswerStore
from llm.simulator import SimulatorThread
from tests.chat.call.answer_cache.asking import ask
from tests.support.database_servers import RedisServer
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess

StartSite = Callable[..., httpx2.Client]


async def test_in_process_the_entries_are_bounded_in_bytes() -> None:
    room = ENTRY_OVERHEAD_BYTES + 1000
    store = MemoryAnswerStore(max_bytes=3 * room)
    for number in range(10):
        await store.put(str(number), "x" * 1000, 60)
    kept = [number for number in range(10) if await store.get(str(number))]
    assert len(kept) == 3
    assert 9 in kept
    await store.put("too big", "x" * 4 * room, 60)
    assert await store.get("too big") is None


@pytest.mark.slow
async def test_redis_is_shared_by_two_processes(
    tmp_path: Path, simulator: SimulatorThread, redis_server: RedisServer
) -> None:
    made = [SiteProcess(tmp_path, upstream=simulator.base_url, REDIS_URL=redis_server.url) for _ in range(2)]
    made[0].migrate()
    try:
        answers = []
        for site in made:
            site.start()
            async with async_loopback_client(base_url=site.base_url, timeout=20) as client:
                answers.append(await client.post("/chat", json={"prompt": "Hello", "cache_ttl": 60}))
        assert ["x-cached" in answer.headers for answer in answers] == [False, True]
        assert len(simulator.requests()) == 1
    finally:
        for site in made:
            site.close()


def test_what_is_in_redis_ends_with_the_ttl_and_names_neither_prompt_nor_key(
    start_site: StartSite, redis_server: RedisServer
) -> None:
    ask(start_site(REDIS_URL=redis_server.url), cache_ttl=60)
    with redis_server.client() as redis:
        (name,) = redis.keys()
        assert 55_000 < redis.pttl(name) <= 60_000
        assert b"Hello" not in name


GARBAGE = [
    b"",
    b"\xff\xfe",
    b"{",
    b"null",
    b"[]",
    b"1",
    b'"a"',
    b"{}",
    b'{"completion": null, "model_used": "a", "provider_used": "b", "usage": null}',
    b'{"completion": {}, "model_used": "a", "provider_used": "b", "usage": null}',
    b'{"completion": {"choices": [{}]}, "model_used": "a", "provider_used": "b", "usage": null}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
def test_garbage_in_redis_is_no_answer_and_no_error(
    start_site: StartSite, redis_server: RedisServer, simulator: SimulatorThread, path: str
) -> None:
    client = start_site(REDIS_URL=redis_server.url)
    ask(client, path)
    with redis_server.client() as redis:
        (name,) = redis.keys()
        good = json.loads(redis.get(name) or b"")
        wrong = {"prompt_tokens": "many", "completion_tokens": None}
        for garbage in [*GARBAGE, json.dumps(good | {"usage": wrong}).encode()]:
            redis.set(name, garbage)
            assert "x-cached" not in ask(client, path).headers, garbage
            assert "x-cached" in ask(client, path).headers
        redis.delete(name)
        redis.lpush(name, "a list")
        assert "x-cached" not in ask(client, path).headers
