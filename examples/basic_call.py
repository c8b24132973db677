"""Asks one model for an answer, and says why if there is none. The other examples build on this one.

Start the service with `make run`, then: python examples/basic_call.py "Explain async programming in Python"
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import requests

BASE_URL = os.environ.get("BASE_URL", "http://localhost:8000").rstrip("/")
TRIES = 3
# The longest wait, in seconds. If Retry-After asks for a longer one, the call fails.
LONGEST_WAIT = 30.0


class CallFailed(Exception):
    """The error that the service answered. If the call reached a model, `GET /calls/{request_id}` tells more."""

    def __init__(self, response: requests.Response) -> None:
        try:
            error = dict(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            # This is no error of the service. It may be one of a proxy in front of it.
            error = {}
        wait = response.headers.get("Retry-After", "")
        self.code: str = error.get("code", f"http_{response.status_code}")
        self.request_id: str = error.get("request_id", response.headers.get("X-Request-ID", "unknown"))
        # For bad input the details are its fields, and for a failed call its attempts.
        self.details: dict[str, Any] = error.get("details", {})
        self.retry_after: float | None = float(wait) if wait.isdecimal() else None
        super().__init__(f"{self.code}: {error.get('message', response.reason)} (request {self.request_id})")


def post(path: str, *, timeout: float = 60, stream: bool = False, **fields: Any) -> requests.Response:
    """Send one request and return the response. If it says Retry-After, wait and try again. Raises CallFailed.

    `timeout` limits the whole call, in seconds. We wait a little longer, so that the service can tell us why it failed.
    """
    for tries_left in reversed(range(TRIES)):
        body = {"timeout": timeout, **fields}
        response = requests.post(f"{BASE_URL}{path}", json=body, timeout=(5, timeout + 5), stream=stream)
        if response.ok:
            return response
        failure = CallFailed(response)
        if not tries_left or failure.retry_after is None or failure.retry_after > LONGEST_WAIT:
            break
        time.sleep(failure.retry_after)
    raise failure


def ask(prompt: str, *, model: str = "gpt-4o", **options: Any) -> dict[str, Any]:
    """Ask for one answer. `options` are further fields of the request, like `temperature=0.2`. Raises CallFailed."""
    return dict(post("/chat", prompt=prompt, model=model, **options).json())


def cost_of(answer: dict[str, Any]) -> str:
    """What an answer cost, with `~` before a guess, and "at least" before a cost of which only a part is known."""
    if answer["cost_usd"] is None:
        return "price unknown"
    least, about = "at least " if answer["cost_incomplete"] else "", "~" if answer["cost_estimated"] else ""
    return f"{least}{about}${answer['cost_usd']:.6f}"


def main() -> None:
    prompt = " ".join(sys.argv[1:]) or "Explain async programming in Python"
    answer = ask(prompt, temperature=0.7, max_tokens=500)
    print(answer["content"])
    print(f"[{answer['model_used']} by {answer['provider_used']}, {answer['latency_ms']} ms, {cost_of(answer)}]")

    print("\nAnd when it goes wrong, here by a temperature that no model takes:")
    try:
        ask(prompt, temperature=3)
    except CallFailed as failure:
        print(failure)
        print(failure.details)


if __name__ == "__main__":
    try:
        main()
    except (CallFailed, requests.RequestException) as error:
        sys.exit(f"No answer from {BASE_URL}. Is the service running (`make run`)? {error}")
