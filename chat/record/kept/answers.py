"""The answer of a call as it is kept: whole, but for the bytes of media and the numbers of vectors, and bounded."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from chat.record.bulk_insert import Written
from chat.record.kept.keeping import Keeping
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


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """`written` is `value` as JSON text, so that it is written once, for its size and for the database."""

    value: Json
    written: Written

    @property
    def is_text_only(self) -> bool:
        return TEXT_ONLY in self.value


def keep_answer(operation: Operation, answer: Json, keeping: Keeping, *, stored: bool) -> KeptAnswer:
    """The answer of an upstream, whole or as far as it came, as it is kept.

    `stored` says that the caller wants to get it again as it was, with its media.
    """
    if operation is EMBEDDINGS:
        answer = count_vectors(answer)
    if stored:
        kept = keeping.answer(answer, with_bytes=True)
        written = write_json(kept)
        if len(written) <= MAX_STORED_BYTES:
            return KeptAnswer(kept, Written(written.decode()))
    kept = keeping.answer(answer)
    written = write_json(kept)
    if len(written) > MAX_ANSWER_BYTES:
        kept = _text_only(kept)
        written = write_json(kept)
    return KeptAnswer(kept, Written(written.decode()))


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
