"""What the ledger bills when requests end in other ways than well. Each test speaks to it on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.ledger.upstream.lines import Line
from tests.ledger.upstream.plans import Fate, Plan, plan_of
from tests.ledger.upstream.prices import Searches, Tokens, amount_usd
from tests.ledger.upstream.server import LedgerUpstream

# "user" and "Hello" are a token each.
PROMPT_TOKENS = 3 + 1 + 1 + 3
CHAT = {"model": "o3", "messages": [{"role": "user", "content": "Hello"}]}


@asynccontextmanager
async def upstream(**changes: Any) -> AsyncIterator[tuple[aiohttp.ClientSession, LedgerUpstream]]:
    """A ledger by whose plan a model reasons for 100 tokens and says 200, in half a second, if nothing else is said."""
    fixed: dict[str, Any] = {
        "fate": Fate.ANSWERED,
        "refusal": 0,
        "reasoning": 100,
        "answer": 200,
        "cut_short": False,
        "seconds_to_first_token": 0.05,
        "seconds_per_token": 0.0015,
        "noticed_after": 0.0,
        **changes,
    }

    def planned(model: str, body: dict[str, Any], random: Random) -> Plan:
        return replace(plan_of(model, body, random), **fixed)

    ledger = LedgerUpstream(1, planned)
    async with ledger.serve() as base_url, aiohttp.ClientSession(base_url=f"{base_url}/") as session:
        yield session, ledger


async def only_line(ledger: LedgerUpstream) -> Line:
    """The line of the one request, when it is no longer worked on."""
    async with asyncio.timeout(10):
        while not ledger.ledger.lines or ledger.ledger.open:
            await asyncio.sleep(0.01)
    (line,) = ledger.ledger.lines
    return line


@pytest.mark.parametrize("refusal", [400, 429, 500, 503])
async def test_a_refused_request_costs_nothing(refusal: int) -> None:
    async with upstream(refusal=refusal) as (session, ledger):
        async with session.post("chat/completions", json=CHAT) as response:
            assert response.status == refusal
        assert (await only_line(ledger)).amount_usd == 0


async def test_a_whole_answer_is_billed_in_full_if_its_caller_hangs_up() -> None:
    async with upstream() as (session, ledger):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), session.post("chat/completions", json=CHAT):
                pass
        line = await only_line(ledger)
        # 8 x 2.00 + 300 x 8.00 millionths
        assert line.amount_usd == Decimal("0.002416")
        assert not line.told


async def test_a_whole_answer_that_breaks_in_transit_is_billed_in_full() -> None:
    async with upstream(fate=Fate.BREAKS, breaks_at=0.5) as (session, ledger):
        with pytest.raises(aiohttp.ClientError):
            async with session.post("chat/completions", json=CHAT) as response:
                await response.read()
        assert (await only_line(ledger)).amount_usd == Decimal("0.002416")


async def test_a_stream_that_is_cut_while_it_reasons_is_billed_for_the_hidden_tokens() -> None:
    async with upstream(seconds_per_token=0.02) as (session, ledger):
        async with session.post("chat/completions", json=CHAT | {"stream": True}) as response:
            assert response.status == 200
            await asyncio.sleep(0.5)
        line = await only_line(ledger)
        assert line.tokens.prompt == PROMPT_TOKENS
        assert 0 < line.tokens.reasoning == line.tokens.completion < 100
        assert not line.began


async def test_a_stream_that_is_cut_in_mid_answer_is_billed_for_what_was_made() -> None:
    async with upstream(seconds_per_token=0.01) as (session, ledger):
        async with session.post("chat/completions", json=CHAT | {"stream": True}) as response:
            async for event in response.content:
                if b'"content"' in event and b'"content": ""' not in event:
                    break
        line = await only_line(ledger)
        assert line.tokens.reasoning == 100
        assert 100 < line.tokens.completion < 300


async def test_what_is_made_until_a_cut_is_noticed_is_billed() -> None:
    async with upstream(noticed_after=60.0) as (session, ledger):
        with pytest.raises(TimeoutError):
            async with (
                asyncio.timeout(0.1),
                session.post("chat/completions", json=CHAT | {"stream": True}) as response,
            ):
                await response.read()
        assert (await only_line(ledger)).amount_usd == Decimal("0.002416")


@pytest.mark.parametrize("fate", [Fate.BREAKS, Fate.STREAM_ERROR])
async def test_a_stream_that_the_provider_breaks_is_billed_for_what_was_made(fate: Fate) -> None:
    async with upstream(fate=fate, breaks_at=0.7) as (session, ledger):
        try:
            async with session.post("chat/completions", json=CHAT | {"stream": True}) as response:
                data = await response.read()
        except aiohttp.ClientError:
            data = b""
        line = await only_line(ledger)
        assert (b"server_error" in data) == (fate is Fate.STREAM_ERROR)
        assert 0 < line.tokens.completion < 300
        assert line.broken and not line.told


@pytest.mark.parametrize(("options", "told"), [({}, False), ({"stream_options": {"include_usage": True}}, True)])
async def test_a_stream_tells_its_usage_if_it_is_asked_to(options: dict[str, Any], told: bool) -> None:
    async with upstream() as (session, ledger):
        async with session.post("chat/completions", json=CHAT | {"stream": True} | options) as response:
            data = await response.read()
        assert (await only_line(ledger)).told == told
        assert (b'"completion_tokens": 300' in data) == told


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_tells_what_is_billed(stream: bool) -> None:
    body = {"model": "gpt-5.4", "input": "Hello", "stream": stream, "service_tier": "flex"}
    body["tools"] = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}]
    searches = Searches(web=2, file=1)
    async with upstream(searches=searches, pages_opened=1, search_content=500) as (session, ledger):
        async with session.post("responses", json=body) as response:
            data = await response.text()
        line = await only_line(ledger)
    answer = json.loads(data.rpartition("data: ")[2])
    answer = answer["response"] if stream else answer
    actions = [item["action"]["type"] for item in answer["output"] if item["type"] == "web_search_call"]
    assert actions == ["search", "search", "open_page"]
    assert answer["service_tier"] == "flex"
    assert answer["usage"]["input_tokens"] == PROMPT_TOKENS + 500
    assert answer["usage"]["output_tokens_details"] == {"reasoning_tokens": 100}
    assert line.told
    assert line.amount_usd == amount_usd("gpt-5.4", "flex", Tokens(PROMPT_TOKENS + 500, 300), searches)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_said_aloud_is_audio_beside_its_text(stream: bool) -> None:
    body = CHAT | {"model": "gpt-audio", "modalities": ["text", "audio"], "stream": stream}
    body["stream_options"] = {"include_usage": True}
    async with upstream(reasoning=0, answer=20, seconds_per_token=0.0005) as (session, ledger):
        async with session.post("chat/completions", json=body) as response:
            assert b'"transcript"' in await response.read()
        line = await only_line(ledger)
    assert (line.tokens.completion, line.tokens.audio_out, line.told) == (120, 100, True)
