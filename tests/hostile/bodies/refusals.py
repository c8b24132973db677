"""What is sent to every door with a hostile body, and the check of the error that comes back."""

from __future__ import annotations

from typing import Any

import httpx2

STORED = "/v1/chat/completions/chatcmpl-1"
JSON = "application/json"


def envelope(response: httpx2.Response) -> dict[str, Any]:
    """Return the error object, after a check that it has the shape of its door."""
    error: dict[str, Any] = response.json()["error"]
    assert response.headers["content-type"] == JSON
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["message"]
    assert ("param" in error) == response.request.url.path.startswith("/v1/")
    return error
