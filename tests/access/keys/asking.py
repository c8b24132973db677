"""A call and its key, and reading a refusal."""

from __future__ import annotations

import httpx2

ORDER = {"prompt": "a", "model": "gpt-4o"}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def refusal(answer: httpx2.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]
