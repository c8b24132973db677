"""Embeddings in OpenAI's shape: small vectors of length one. Equal inputs get equal vectors."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from llm.simulator.answer import ParsedRequest
from llm.simulator.apis.embeddings_request import EmbeddingsRequest
from llm.simulator.script.behaviour import Behaviour


def parse_embeddings(payload: Mapping[str, Any]) -> ParsedRequest:
    """Read a request for embeddings. Raises Refusal (400), which names the wrong parameter."""
    request = EmbeddingsRequest.from_payload(payload)
    return ParsedRequest(request.tokens, partial(_embed, request))


def _embed(request: EmbeddingsRequest, behaviour: Behaviour) -> EmbeddingsAnswer:
    vectors = () if behaviour.empty else tuple(_vector(repr(each), request.dimensions) for each in request.inputs)
    tokens = request.tokens if behaviour.usage else None
    return EmbeddingsAnswer(request.model, vectors, tokens, in_base64=request.in_base64)


@dataclass(frozen=True, slots=True)
class EmbeddingsAnswer:
    """The vectors in the order of the inputs. They can't be streamed, and they are no content chunks."""

    model: str
    vectors: tuple[list[float], ...]
    tokens: int | None
    in_base64: bool
    chunks: int = 0
    generated: int = 0

    def whole(self, until: int | None = None) -> dict[str, Any]:
        """The answer. It can't be shortened, so `until` changes nothing."""
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
    # All values are odd, so no vector is zero.
    values = [2 * value + 1 for value in struct.unpack(f"<{dimensions}h", digest)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
