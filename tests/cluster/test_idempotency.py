"""A repeated request is one call, whichever process the repetition reaches."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from llm.simulator import SimulatorThread
from tests.cluster.held_upstream import HeldUpstream
from tests.cluster.installation import Installation, eventually

pytestmark = pytest.mark.slow

CALLS = 50


async def test_of_50_requests_at_once_with_one_key_one_asks_the_model_and_all_get_its_answer(
    installation: Installation, held: HeldUpstream, simulator: SimulatorThread
) -> None:
    headers = installation.make_key("repeating") | {"Idempotency-Key": "one"}
    order = {"prompt": "a", "model": "held/model"}
    asked: list[int] = []

    async def ask(client: httpx2.AsyncClient) -> httpx2.Response:
        """Do what a client should: while the first request runs, wait for as long as the service says."""
        while True:
            answer = await client.post("/chat", json=order, headers=headers)
            asked.append(answer.status_code)
            if answer.status_code != 409:
                return answer
            assert answer.json()["error"]["code"] == "idempotency_key_in_use"
            await asyncio.sleep(float(answer.headers["retry-after"]))

    async with installation.client() as client:
        calls = [asyncio.create_task(ask(client)) for _ in range(CALLS)]
        # All the others have come while the first one was running.
        await eventually(lambda: len(asked) >= CALLS - 1, lambda: asked)
        assert set(asked) == {409}
        held.release()
        answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == CALLS - 1
    assert held.seen == 1
    assert simulator.requests() == []
    assert installation.count("select count(*) from chat_callrecord where api_key = 'repeating'") == 1
