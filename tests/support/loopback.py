"""HTTP clients for servers on this machine, and for nothing else.

A client of httpx2 or of OpenAI's SDK reads all certificates of the machine, which takes 24 ms of CPU. A server on
loopback needs none of them, and there is no proxy before it either.
"""

from __future__ import annotations

from typing import Any

import httpx2

DIRECT = {"trust_env": False, "verify": False}


def loopback_client(**options: Any) -> httpx2.Client:
    return httpx2.Client(**DIRECT | options)


def async_loopback_client(**options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(**DIRECT | options)


def loopback_get(url: str, **options: Any) -> httpx2.Response:
    """One request, with a connection of its own."""
    return httpx2.get(url, **DIRECT | options)


def loopback_post(url: str, **options: Any) -> httpx2.Response:
    """One request, with a connection of its own."""
    return httpx2.post(url, **DIRECT | options)
