"""The answer of a call as it is kept: whole, but for the bytes of media and the numbers of vectors, and bounded."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from chat.record.kept.keeping import Keeping, Kept
from llm import EMBEDDINGS, Json, Operation, write_json

# The largest answer that is kept, as JSON. Of a larger one only its text is kept.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
# The same for an answer that its caller has asked to be stored, and that is kept with the bytes of its media. Of a
# larger one the media are kept by their hash, as in all other answers.
MAX_STORED_BYTES = 16 * 1024 * 1024
# The field that marks an answer of which only the text is kept.
TEXT_ONLY = "text_only"
# What else is kept of such an answer, where it is short.
HEAD = ("id", "object", "created", "created_at", "model", "status", "usage", "service_tier", "system_fingerprint")
SHORT_BYTES = 2_000
BYTES_OF_FLOAT = 4


def keep_answer(operation: Operation, answer: Json, keeping: Keeping, *, stored: bool) -> Kept:
    """The answer of an upstream, whole or as far as it came, as it is kept.

    `stored` says that the caller wants to get it again as it was, with its media.
    """
    if operation is EMBEDDINGS:
        answer = count_vectors(answer)
    if stored:
        kept = keeping.kept(answer, with_bytes=True, is_answer=True)
        if kept.size <= MAX_STORED_BYTES:
            return kept
    kept = keeping.kept(answer, is_answer=True)
    return keeping.kept(_text_only(kept.value)) if kept.size > MAX_ANSWER_BYTES else kept


def is_text_only(kept: Json) -> bool:
    return TEXT_ONLY in kept


def count_vectors(answer: Json) -> Json:
    """An answer of embeddings with the number of its vectors and of their dimensions in the place of the vectors."""
    data = answer.get("data")
    vectors: list[Any] = data if isinstance(data, list) else []
    first = next((entry.get("embedding") for entry in vectors if isinstance(entry, dict)), None)
    counts = {"vectors": len(vectors), "dimensions": _dimensions(first)}
    return {name: value for name, value in answer.items() if name != "data"} | counts


def _dimensions(embedding: Any) -> int | None:
    if isinstance(embedding, list):
        return len(embedding)
    if not isinstance(embedding, str):
        return None
    try:
        return len(base64.b64decode(embedding, validate=True)) // BYTES_OF_FLOAT
    except (binascii.Error, ValueError):
        return None


def _text_only(kept: Json) -> Json:
    head = {name: kept[name] for name in HEAD if name in kept and len(write_json(kept[name])) <= SHORT_BYTES}
    return {**head, TEXT_ONLY: True}
