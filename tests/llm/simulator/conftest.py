"""A simulator for each test, and two clients of it: one that speaks plain HTTP, and OpenAI's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import openai
import pytest

from llm.simulator import RunningSimulator, serve
from tests.support.loopback import DIRECT, async_loopback_client


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with serve() as running:
        yield running


@pytest.fixture
async def http(simulator: RunningSimulator) -> AsyncIterator[httpx2.AsyncClient]:
    origin = simulator.base_url.removesuffix("/v1")
    headers = {"Authorization": "Bearer any"}
    async with async_loopback_client(base_url=origin, headers=headers, timeout=10) as client:
        yield client


@pytest.fixture
async def sdk(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(**DIRECT)
    url = simulator.base_url
    async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0, timeout=10, http_client=http) as client:
        yield client
