"""The private part of a library that this package uses. tests/llm/operations/test_compat.py fails if it changes."""

from __future__ import annotations

from openai.lib.streaming._deltas import accumulate_delta

from llm.json_values import Json


def merge_delta(message: Json, delta: Json) -> None:
    """Merge a delta of a chat completion into the message so far. Changes `message`, and may keep parts of `delta`.

    This is the function by which OpenAI's own SDK puts streams together, so that an answer has the same shape as if
    the SDK had read it. The SDK offers it only behind its typed client, which takes too long for every chunk. Checked
    with openai 3.54.0. Raises TypeError or RuntimeError for deltas that don't fit together.
    """
    accumulate_delta(message, delta)  # type: ignore[arg-type]
