"""The pieces of a stream pass nginx as soon as they are made.

The upstream waits for the test, so no time is measured.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.cluster.held_upstream import PIECES, HeldUpstream
from tests.cluster.installation import PATIENCE_SECONDS, Installation, eventually

pytestmark = pytest.mark.slow

MESSAGES = [{"role": "user", "content": "a"}]
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("/chat/stream", {"prompt": "a"}),
    "events": ("/chat/stream", {"prompt": "a", "events": "json"}),
    "v1": ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}),
}


async def pieces(response: httpx2.Response, door: str) -> AsyncIterator[str]:
    """The pieces of the text, as they come."""
    async for line in response.aiter_lines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        data = line.removeprefix("data: ")
        if door == "text":
            yield data
        elif door == "events" and (event := json.loads(data)).keys() == {"content"}:
            yield event["content"]
        elif door == "v1" and (choices := json.loads(data)["choices"]) and choices[0]["delta"].get("content"):
            yield choices[0]["delta"]["content"]


@pytest.mark.parametrize("door", DOORS)
async def test_each_piece_has_come_before_the_next_one_is_made(
    installation: Installation, held: HeldUpstream, door: str
) -> None:
    path, order = DOORS[door]
    async with (
        installation.client() as client,
        client.stream("POST", path, json={**order, "model": "held/model"}, headers=installation.operator) as response,
    ):
        assert response.status_code == 200
        assert response.headers.get("content-encoding", "identity") == "identity"
        coming = pieces(response, door)
        for piece in PIECES:
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await anext(coming) == piece
            held.next_piece()
        assert [rest async for rest in coming] == []


async def test_a_caller_that_leaves_nginx_stops_the_model_and_is_on_record(
    installation: Installation, held: HeldUpstream
) -> None:
    headers = installation.make_key("leaving")
    for path in ("/chat", "/chat/stream"):
        async with installation.client() as client:
            call = asyncio.create_task(client.post(path, json={"prompt": "a", "model": "held/model"}, headers=headers))
            await eventually(lambda: held.open == 1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        await eventually(lambda: held.open == 0, lambda: "the model went on for nobody")
    query = (
        "select door, status from chat_callrecord where api_key = 'leaving' and status <> 'in_progress' order by door"
    )
    await eventually(lambda: len(installation.rows(query)) == 2, lambda: installation.rows(query))
    assert installation.rows(query) == [("chat", "cancelled"), ("stream", "cancelled")]


async def test_metrics_are_not_for_the_world(installation: Installation) -> None:
    async with installation.client() as client:
        assert (await client.get("/metrics", headers=installation.operator)).status_code == 404
