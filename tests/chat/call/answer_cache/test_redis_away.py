"""Without Redis, the cache costs a caller neither the answer nor much time."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable

import httpx2
import pytest

from llm.simulator import SimulatorThread
from tests.chat.call.answer_cache.asking import ask
from tests.support.database_servers import RedisServer
from tests.support.loopback import async_loopback_client
from tests.support.ports import free_port

StartSite = Callable[..., httpx2.Client]


def away(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "chat.cache"]


def test_without_redis_the_model_answers_at_once_and_the_log_says_so_once(
    start_site: StartSite, simulator: SimulatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    client = start_site(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    begun = time.monotonic()
    for _ in range(10):
        assert "x-cached" not in ask(client).headers
    assert time.monotonic() - begun < 4  # 5 s if each waited half a second
    assert len(simulator.requests()) == 10
    assert away(caplog) == ["cache_away"]


def test_a_redis_that_never_answers_costs_half_a_second_and_not_for_every_call(
    start_site: StartSite, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = start_site(REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        begun = time.monotonic()
        for _ in range(10):
            ask(client)
        assert time.monotonic() - begun < 4  # 5 s if each waited half a second
    assert away(caplog) == ["cache_away"]


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_redis_that_goes_in_between_is_done_without_and_used_again_when_it_is_back(
    start_site: StartSite,
    redis_server: RedisServer,
    how: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chat.call.answer_store.REST_SECONDS", 1.0)
    client = start_site(REDIS_URL=redis_server.url)
    ask(client)
    assert "x-cached" in ask(client).headers
    if how == "killed":
        redis_server.kill()
    else:
        redis_server.freeze()
    begun = time.monotonic()
    assert "x-cached" not in ask(client).headers
    assert time.monotonic() - begun < 4
    assert away(caplog) == ["cache_away"]
    redis_server.kill()
    redis_server.start()
    time.sleep(1.1)
    ask(client)
    assert "x-cached" in ask(client).headers
    assert away(caplog) == ["cache_away", "cache_back"]


def test_a_redis_that_was_restarted_between_two_calls_is_not_noticed(
    start_site: StartSite, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = start_site(REDIS_URL=redis_server.url)
    ask(client)
    redis_server.kill()
    redis_server.start()
    ask(client)
    assert "x-cached" in ask(client).headers
    assert away(caplog) == []


async def test_many_calls_at_once_take_turns_at_redis(
    start_site: StartSite, redis_server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.call.answer_store.REDIS_SECONDS", 30)  # turns are tried here, not how fast the machine is
    site = start_site(REDIS_URL=redis_server.url)
    caplog.set_level(logging.WARNING)
    async with async_loopback_client(
        base_url=site.base_url, timeout=30, limits=httpx2.Limits(max_connections=None)
    ) as client:
        body = {"prompt": "Hello", "cache_ttl": 60}
        await client.post("/chat", json=body)
        answers = await asyncio.gather(*(client.post("/chat", json=body) for _ in range(200)))
    assert {answer.headers.get("x-cached") for answer in answers} == {"true"}
    assert away(caplog) == []
