"""Reads an answer while it is written, as server-sent events.

Start the service with `make run`, then: python examples/streaming.py "Tell me a story"
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import requests
import sseclient
from basic_call import BASE_URL, CallFailed, post


class StreamInterrupted(Exception):
    """The stream ended early, so the text is not the whole answer."""


def events(prompt: str, **options: Any) -> Iterator[sseclient.Event]:
    """Yield the events of one stream. Raises CallFailed before the first event, and StreamInterrupted after it."""
    with post("/chat/stream", stream=True, prompt=prompt, **options) as response:
        for event in sseclient.SSEClient(response).events():
            if event.event == "error":
                error = json.loads(event.data)
                raise StreamInterrupted(f"{error['code']}: {error['message']} (request {error['request_id']})")
            yield event
            if event.data == "[DONE]" or event.event == "done":
                return
    raise StreamInterrupted("There was no end to it.")


def pieces(prompt: str, **options: Any) -> Iterator[str]:
    """Yield the text, piece by piece. Raises the same as `events`."""
    for event in events(prompt, **options):
        if event.data != "[DONE]":
            yield event.data


def typed_events(prompt: str, **options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield events with a type: start, delta (a piece), usage, done (the whole answer). Raises the same as `events`."""
    for event in events(prompt, events="json", **options):
        yield event.event, json.loads(event.data)


def main() -> None:
    prompt = " ".join(sys.argv[1:]) or "Tell me a story"
    for piece in pieces(prompt, model="gpt-4o"):
        print(piece, end="", flush=True)

    print("\n\nA stream can fall back too, up to its first piece. Typed events tell what it took:")
    for name, data in typed_events(prompt, model="sim-503>gpt-4o-mini", max_tokens=3):
        print(f"  {name}: {json.dumps(data)}")

    print("\nLater it can't, and says so. The simulator's model sim-cut breaks off on purpose:")
    try:
        for piece in pieces(prompt, model="sim-cut"):
            print(piece, end="", flush=True)
    except StreamInterrupted as broken:
        print(f" … [{broken}]")


if __name__ == "__main__":
    try:
        main()
    except (CallFailed, StreamInterrupted, requests.RequestException) as error:
        sys.exit(f"No answer from {BASE_URL}. Is the service running (`make run`)? {error}")
