"""Asking the simulator for chat completions, and reading the events of its streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2

HELLO = [{"role": "user", "content": "Hello there"}]

# What the client raises if a connection is reset.
CUT = (httpx2.ReadError, httpx2.RemoteProtocolError)


async def ask(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> httpx2.Response:
    return await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **parameters})


async def events_until_the_end(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> list[str]:
    """The data of each event of a stream. Raises one of CUT if the connection is reset."""
    events: list[str] = []
    await read_events(http, events, model, **parameters)
    return events


async def read_events(http: httpx2.AsyncClient, events: list[str], model: str = "m", **parameters: Any) -> None:
    """Append the data of each event of a stream to `events`."""
    body = {"model": model, "messages": HELLO, "stream": True, **parameters}
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))


def contents(events: list[str]) -> list[str]:
    """The pieces of content in the events."""
    chunks = [json.loads(event) for event in events if event.startswith("{") and event.endswith("}")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", [])]
    return [delta["content"] for delta in deltas if delta.get("content")]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
