"""Embeddings in OpenAI's shape: small, deterministic, of length one."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llm.simulator.answer import Asked
from llm.simulator.behaviour import Behaviour
from llm.simulator.generation.tokens import approximate_tokens
from llm.simulator.openai_errors import Refusal
from llm.simulator.request import model_name, texts_or_tokens

DEFAULT_DIMENSIONS: Final = 8
MAX_DIMENSIONS: Final = 4096


def ask_embeddings(payload: Mapping[str, Any]) -> Asked:
    """Read an embeddings request; equal inputs get equal vectors. Raises Refusal (400) with `param` set."""
    model = model_name(payload)
    inputs = texts_or_tokens(payload.get("input"), param="input")
    dimensions = payload.get("dimensions", DEFAULT_DIMENSIONS)
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise Refusal(400, f"'dimensions' must be from 1 to {MAX_DIMENSIONS}.", param="dimensions")
    encoding = payload.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise Refusal(400, "'encoding_format' must be float or base64.", param="encoding_format")
    tokens = sum(approximate_tokens(each) if isinstance(each, str) else len(each) for each in inputs)

    def answer(behaviour: Behaviour) -> Embeddings:
        vectors = () if behaviour.empty else tuple(_vector(repr(each), dimensions) for each in inputs)
        return Embeddings(model, vectors, tokens if behaviour.usage else None, in_base64=encoding == "base64")

    return Asked(tokens, answer)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors in the order of the inputs. There is no stream of them, and they are no content chunks."""

    model: str
    vectors: tuple[list[float], ...]
    tokens: int | None
    in_base64: bool
    chunks: int = 0

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer, which cannot be shortened."""
        data = [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if self.in_base64 else vector}
            for index, vector in enumerate(self.vectors)
        ]
        answer = {"object": "list", "data": data, "model": self.model}
        if self.tokens is None:
            return answer
        return answer | {"usage": {"prompt_tokens": self.tokens, "total_tokens": self.tokens}}


def _vector(text: str, dimensions: int) -> list[float]:
    digest = hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * dimensions)
    # Odd numbers only, so that no vector is all zero.
    values = [2 * value + 1 for value in struct.unpack(f"<{dimensions}h", digest)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
