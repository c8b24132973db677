"""Asking the simulator's Responses API, and reading the events of its streams."""

from __future__ import annotations

import json
from typing import Any

import httpx2

URL = "/v1/responses"


async def ask(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> httpx2.Response:
    return await http.post(URL, json={"model": model, "input": "Hello there", **parameters})


async def read_events(http: httpx2.AsyncClient, events: list[Any], model: str = "m", **parameters: Any) -> None:
    """Append the data of each event; raises what httpx2 raises if the stream is cut."""
    body = {"model": model, "input": "Hello there", "stream": True, **parameters}
    name = None
    async with http.stream("POST", URL, json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
                if data == "{broken":
                    events.append(data)
                    continue
                events.append(json.loads(data))
                assert events[-1]["type"] == name


async def events_of(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> list[Any]:
    events: list[Any] = []
    await read_events(http, events, model, **parameters)
    return events


def types(events: list[Any]) -> list[str]:
    return [each if isinstance(each, str) else each["type"].removeprefix("response.") for each in events]


def deltas(events: list[Any]) -> list[str]:
    return [each["delta"] for each in events if "delta" in each]
