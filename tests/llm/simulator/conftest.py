"""A simulator for each test, and two clients of it: one that speaks plain HTTP, and OpenAI's own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest

from llm.simulator import RunningSimulator, serve

# Never used, but every client would load its own, which takes 20 ms.
TLS = ssl.create_default_context()


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with serve() as running:
        yield running


@pytest.fixture
async def http(simulator: RunningSimulator) -> AsyncIterator[httpx2.AsyncClient]:
    origin = simulator.base_url.removesuffix("/v1")
    headers = {"Authorization": "Bearer any"}
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=10, verify=TLS) as client:
        yield client


@pytest.fixture
async def sdk(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(verify=TLS)
    url = simulator.base_url
    async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0, timeout=10, http_client=http) as client:
        yield client
