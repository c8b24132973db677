"""Server-sent events as bytes for the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llm.simulator.serving.exchange import to_json


def event(payload: Mapping[str, Any], *, name: str | None = None) -> bytes:
    """One event with a JSON payload."""
    return raw_event(to_json(payload), name=name)


def raw_event(data: bytes, *, name: str | None = None) -> bytes:
    """One event whose data is any single line."""
    return (b"" if name is None else f"event: {name}\n".encode()) + b"data: " + data + b"\n\n"


# How the older APIs end a stream.
DONE: Final = raw_event(b"[DONE]")
