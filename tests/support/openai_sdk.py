"""OpenAI's own SDK as a client of the service, and what it is asked in many tests."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai

Json = dict[str, Any]

HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def sdk_of(client: httpx2.Client) -> openai.OpenAI:
    """OpenAI's own SDK with its own retries, over the client's connections."""
    return openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="x", http_client=client)


def events_of(response: httpx2.Response) -> list[str]:
    """The data of each event of a stream."""
    return [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]


def chunks_of(response: httpx2.Response) -> list[Json]:
    return [json.loads(data) for data in events_of(response) if data != "[DONE]"]
