"""Several keys of one provider: used in turn, and a refused one is set aside, with no failed call and no restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from llm import AttemptStatus, CallRequest, CallStatus, Engine, EngineConfig, Provider
from llm.json_values import Json
from llm.upstream.provider_keys import ASIDE_SECONDS, ProviderKeys

ANSWER: Json = {"id": "c", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
REFUSAL: Json = {"error": {"message": "Incorrect API key provided: sk-old.", "code": "invalid_api_key"}}


@dataclass
class Upstream:
    """Answers who has a good key, and notes every key it is shown."""

    good: set[str]
    shown: list[str] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        key = head.partition("authorization: bearer ")[2].partition("\r\n")[0]
        self.shown.append(key)
        status, body = ("200 OK", ANSWER) if key in self.good else ("401 Unauthorized", REFUSAL)
        data = json.dumps(body).encode()
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
            "connection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()
        writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, str]]:
    upstream = Upstream(good={"sk-a", "sk-b"})
    server = await asyncio.start_server(upstream.handle, "127.0.0.1", 0)
    async with server:
        yield upstream, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def ask(engine: Engine) -> tuple[CallStatus, list[AttemptStatus]]:
    async def on_end(outcome: object) -> None:
        return

    body = {"messages": [{"role": "user", "content": "hi"}]}
    outcome = await engine.start(CallRequest(engine.route("gpt-4o"), body), on_end).settled()
    return outcome.status, [attempt.status for attempt in outcome.attempts]


async def test_keys_are_used_in_turn(upstream: tuple[Upstream, str]) -> None:
    seen, base_url = upstream
    provider = Provider("openai", base_url, api_key="sk-a, sk-b")
    async with Engine(EngineConfig({"openai": provider})) as engine:
        for _ in range(4):
            await ask(engine)
        assert engine.key_states() == {"openai": "ok"}
    assert sorted(seen.shown) == ["sk-a", "sk-a", "sk-b", "sk-b"]


async def test_a_refused_key_costs_no_call_is_on_record_and_is_set_aside(upstream: tuple[Upstream, str]) -> None:
    seen, base_url = upstream
    provider = Provider("openai", base_url, api_key="sk-old,sk-a")
    async with Engine(EngineConfig({"openai": provider}, breaker_failures=1)) as engine:
        answers = [await ask(engine) for _ in range(4)]
        state = engine.key_states()["openai"]
    assert all(status is CallStatus.SUCCEEDED for status, _ in answers)
    assert sum(attempts == [AttemptStatus.FAILED, AttemptStatus.SUCCEEDED] for _, attempts in answers) == 1
    assert seen.shown.count("sk-old") == 1
    assert state == "1 of 2 keys refused"


async def test_if_every_key_is_refused_the_call_fails_and_says_so_without_a_key(upstream: tuple[Upstream, str]) -> None:
    _, base_url = upstream
    provider = Provider("openai", base_url, api_key="sk-old,sk-older")
    async with Engine(EngineConfig({"openai": provider}, max_retries=0)) as engine:
        assert await ask(engine) == (CallStatus.FAILED, [AttemptStatus.FAILED, AttemptStatus.FAILED])
        assert engine.key_states() == {"openai": "2 of 2 keys refused"}


def test_a_key_that_rested_is_tried_again() -> None:
    now = 0.0
    keys = ProviderKeys(Provider("p", "http://x", api_key="a,b"), lambda: now)
    assert keys.refused("a")
    assert {keys.take() for _ in range(4)} == {"b"}
    assert not keys.refused("b")
    assert {keys.take() for _ in range(4)} == {"a", "b"}
    now = ASIDE_SECONDS
    assert keys.state == "ok"
    assert {keys.take() for _ in range(4)} == {"a", "b"}


def test_a_provider_without_a_key_sends_none() -> None:
    assert ProviderKeys(Provider("p", "http://x", needs_key=False), lambda: 0.0).take() == ""
