"""Shows three ways to get an answer although a model fails.

Start the service with `make run`, then: python examples/fallback_patterns.py
The models `sim-…` belong to the bundled simulator and fail on purpose. With a key of your own, use real models instead.
If you run this a few times in a row, they fail with `circuit_open`: a model that failed often is skipped for a while.
"""

from __future__ import annotations

import sys
from typing import Any

import requests
from basic_call import BASE_URL, CallFailed, ask, post


def with_fallbacks(prompt: str, primary: str, *fallbacks: str) -> dict[str, Any]:
    """Pattern 1: ask `primary`, then each fallback in turn, until one answers."""
    return dict(post("/chat/fallback", prompt=prompt, primary_model=primary, fallback_models=fallbacks).json())


def by_route(prompt: str, *models: str) -> dict[str, Any]:
    """Pattern 2: write the chain in the model field, as `a>b`.

    This works wherever a model is named, also for a stream.
    """
    return ask(prompt, model=">".join(models))


def with_default(prompt: str, default_message: str, *models: str, timeout: float = 10) -> dict[str, Any]:
    """Pattern 3: if no model answers within `timeout` seconds, the answer is a message of your own.

    The time is for all models together. If one of them hangs, less time is left for the next ones.
    """
    route = ">".join(models)
    response = post("/chat/fallback", timeout=timeout, prompt=prompt, model=route, default_message=default_message)
    return dict(response.json())


def describe(answer: dict[str, Any]) -> str:
    """Describe what happened: the answer, who gave it, and how each attempt ended."""
    attempts = [f"{attempt['model']} {attempt['error_code'] or attempt['status']}" for attempt in answer["attempts"]]
    return f"""\
  Answer: {answer["content"]}
  Model used: {answer["model_used"]}
  Fallback triggered: {answer["fallback_triggered"]}
  Is default message: {answer["is_default_message"]}
  Attempts: {", ".join(attempts)}
"""


def main() -> None:
    prompt = "What is quantum computing?"
    sorry = "We can't answer right now. Please ask again in a minute."

    print("1. A fallback: the primary model is down.")
    print(describe(with_fallbacks(prompt, "sim-503", "gpt-4o-mini")))

    print("2. The same in the model field: sim-500>sim-429>gpt-4o-mini")
    print(describe(by_route(prompt, "sim-500", "sim-429", "gpt-4o-mini")))

    print("3. A default message: the first model is down, and the last one never answers.")
    print(describe(with_default(prompt, sorry, "sim-500", "sim-timeout", timeout=1)))


if __name__ == "__main__":
    try:
        main()
    except (CallFailed, requests.RequestException) as error:
        sys.exit(f"No answer from {BASE_URL}. Is the service running (`make run`)? {error}")
