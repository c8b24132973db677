"""A request for embeddings, checked as far as the simulator needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from llm.simulator.apis.parameters import model_name, texts_or_tokens
from llm.simulator.generation.tokens import approximate_tokens
from llm.simulator.openai_errors import Refusal

DEFAULT_DIMENSIONS: Final = 8
MAX_DIMENSIONS: Final = 4096


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """The parameters that the simulator uses. Each of the `inputs` is a text, or tokens."""

    model: str
    inputs: tuple[str | list[int], ...]
    tokens: int
    dimensions: int
    in_base64: bool

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Raises Refusal (400), which names the wrong parameter."""
        model = model_name(payload)
        inputs = texts_or_tokens(payload.get("input"), param="input")
        dimensions = payload.get("dimensions", DEFAULT_DIMENSIONS)
        if not isinstance(dimensions, int) or isinstance(dimensions, bool) or not 1 <= dimensions <= MAX_DIMENSIONS:
            raise Refusal(400, f"'dimensions' must be from 1 to {MAX_DIMENSIONS}.", param="dimensions")
        encoding = payload.get("encoding_format", "float")
        if encoding not in ("float", "base64"):
            raise Refusal(400, "'encoding_format' must be float or base64.", param="encoding_format")
        return cls(
            model=model,
            inputs=tuple(inputs),
            tokens=sum(approximate_tokens(each) if isinstance(each, str) else len(each) for each in inputs),
            dimensions=dimensions,
            in_base64=encoding == "base64",
        )
