"""The doors that take the header Idempotency-Key, and asking them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llm.simulator import SimulatorThread
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess

MESSAGES = {"messages": [{"role": "user", "content": "Hello"}]}
DOORS = {
    "chat": ("/chat", {"prompt": "Hello"}),
    "parallel": ("/chat/parallel", {"prompt": "Hello"}),
    "fallback": ("/chat/fallback", {"prompt": "Hello"}),
    "stream": ("/chat/stream", {"prompt": "Hello"}),
    "typed stream": ("/chat/stream", {"prompt": "Hello", "events": "json"}),
    "v1 chat": ("/v1/chat/completions", {"model": "gpt-4o", **MESSAGES}),
    "v1 chat stream": ("/v1/chat/completions", {"model": "gpt-4o", "stream": True, **MESSAGES}),
    "v1 embeddings": ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
}
every_door = pytest.mark.parametrize(("path", "body"), DOORS.values(), ids=DOORS.keys())
some_doors = pytest.mark.parametrize(
    ("path", "body"), [DOORS[name] for name in ("chat", "typed stream", "v1 chat", "v1 chat stream")]
)


def post(client: httpx2.Client, path: str, body: Any, key: str = "key-1", **headers: str) -> httpx2.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, json=body, headers={"Idempotency-Key": key, **headers})


def message_of(response: httpx2.Response) -> str:
    return str(response.json()["error"]["message"])


def sites(folder: Path, simulator: SimulatorThread, count: int, **variables: str) -> list[SiteProcess]:
    made = [SiteProcess(folder, upstream=simulator.base_url, **variables) for _ in range(count)]
    made[0].migrate()
    return made


async def rush(urls: list[str], keys: list[str]) -> list[httpx2.Response]:
    """Send one request with each of the keys at the same time, each over a connection of its own."""

    async def one(number: int, key: str) -> httpx2.Response:
        url = urls[number % len(urls)]
        async with async_loopback_client(base_url=url, timeout=30) as client:
            return await client.post("/chat", json={"prompt": "a"}, headers={"Idempotency-Key": key})

    return await asyncio.gather(*(one(number, key) for number, key in enumerate(keys)))
