"""Asking the service for answers that may come from the cache."""

from __future__ import annotations

from typing import Any

import httpx2

HELLO = [{"role": "user", "content": "Hello"}]
V1 = "/v1/chat/completions"


def ask(client: httpx2.Client, path: str = "/chat", **fields: Any) -> httpx2.Response:
    response = client.post(path, json={"prompt": "Hello", "cache_ttl": 60, **fields})
    assert response.status_code == 200, response.text
    return response


def ask_v1(client: httpx2.Client, **fields: Any) -> httpx2.Response:
    body = {"model": "gpt-4o", "messages": HELLO, "x-cache-ttl": 60, **fields}
    response = client.post(V1, json=body)
    assert response.status_code == 200, response.text
    return response
