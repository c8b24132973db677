"""Embeddings in OpenAI's shape: small, deterministic, of length one."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from llm.simulator.chat_request import approximate_tokens, model_name
from llm.simulator.openai_errors import Refusal

DEFAULT_DIMENSIONS: Final = 8
MAX_DIMENSIONS: Final = 4096


def embed(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an embeddings request; equal inputs get equal vectors. Raises Refusal (400) with `param` set."""
    model = model_name(payload)
    inputs = _inputs(payload.get("input"))
    dimensions = payload.get("dimensions", DEFAULT_DIMENSIONS)
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise Refusal(400, f"'dimensions' must be from 1 to {MAX_DIMENSIONS}.", param="dimensions")
    encoding = payload.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise Refusal(400, "'encoding_format' must be float or base64.", param="encoding_format")
    vectors = [_vector(repr(each), dimensions) for each in inputs]
    tokens = sum(approximate_tokens(each) if isinstance(each, str) else len(each) for each in inputs)
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if encoding == "base64" else vector,
            }
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _inputs(value: object) -> list[str | list[int]]:
    """A text, tokens, or a list of either; always as a list."""
    if isinstance(value, str) or (isinstance(value, list) and value and _are_tokens(value)):
        value = [value]
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(each, str) or _are_tokens(each) for each in value)
    ):
        raise Refusal(400, "'input' must be a text, a list of texts, or tokens.", param="input")
    return value


def _are_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(token, int) for token in value)


def _vector(text: str, dimensions: int) -> list[float]:
    digest = hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * dimensions)
    # Odd numbers only, so that no vector is all zero.
    values = [2 * value + 1 for value in struct.unpack(f"<{dimensions}h", digest)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
