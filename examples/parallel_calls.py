"""Shows races between models, and several questions at the same time.

Start the service with `make run`, then: python examples/parallel_calls.py
The model `sim-slow` belongs to the bundled simulator and takes three seconds. With a key of your own, use a real model.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from basic_call import BASE_URL, CallFailed, post


def race(prompt: str, *models: str, hedge_after: float = 0) -> dict[str, Any]:
    """Ask several models and take the fastest success. The other models are cancelled at once. Raises CallFailed.

    With `hedge_after`, the next model starts only if no answer has come after so many seconds, so most calls cost only
    one model. The service limits how many calls may start a second model (HEDGE_BUDGET). Beyond that, a call waits for
    the first model.
    """
    return dict(post("/chat/parallel", prompt=prompt, models=models, hedge_after=hedge_after).json())


def race_all(prompts: list[str], *models: str, at_once: int = 4) -> list[dict[str, Any]]:
    """Run a race for each prompt, `at_once` of them at a time. The answers are in the order of the prompts."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(lambda prompt: race(prompt, *models), prompts))


def describe(answer: dict[str, Any]) -> str:
    """Describe who won, and how each attempt ended."""
    attempts = [
        f"    {attempt['model']:12} {attempt['status']:10} after {attempt['latency_ms']} ms"
        for attempt in answer["attempts"]
    ]
    return "\n".join([f"  {answer['model_used']} won: {answer['content']}", *attempts])


def main() -> None:
    print("1. A race: the fastest success wins.")
    print(describe(race("What is a quark?", "sim-slow", "gpt-4o-mini")))

    print("\n2. A hedge: gpt-4o-mini starts only if sim-slow has not answered after half a second.")
    print(
        "   (One hedge in ten seconds is always allowed. Run this again at once, and sim-slow has its three seconds.)"
    )
    print(describe(race("What is a quark?", "sim-slow", "gpt-4o-mini", hedge_after=0.5)))

    print("\n3. Three questions at the same time.")
    for answer in race_all(["What is red?", "What is green?", "What is blue?"], "gpt-4o", "gpt-4o-mini"):
        print(describe(answer))


if __name__ == "__main__":
    try:
        main()
    except (CallFailed, requests.RequestException) as error:
        sys.exit(f"No answer from {BASE_URL}. Is the service running (`make run`)? {error}")
