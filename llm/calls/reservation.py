"""What a call may use, before it runs: what its caller's limits must have room for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm.calls.request import CallRequest
from llm.costs.estimates import answers_asked, completion_bound, counted_as
from llm.costs.usage import MAX_TOKENS, Usage
from llm.json_values import write_json
from llm.routing.route import ModelRef

# The tokens that an answer is taken to need if the caller does not limit it.
ANSWER_TOKENS = 1_000

# Bytes of a token, where the size is all that is known.
BYTES_PER_TOKEN = 4

# Fields that are read as a prompt in every API, besides those of the operation.
READ = frozenset({"tools", "functions", "response_format", "text"})

# Fields that no model sees, whatever their size.
UNSEEN = frozenset(
    {"model", "metadata", "logit_bias", "user", "safety_identifier", "prompt_cache_key", "stream_options"}
)

# Text that a model is told to expect. What of it does not come is billed like an answer.
PREDICTION = "prediction"


class Reservation:
    """Counts a request once for each way of counting, because a race may ask several models."""

    def __init__(self, request: CallRequest) -> None:
        self._body = request.body
        self._operation = request.operation
        self._counted: dict[object, Usage] = {}
        self._other_tokens = _other_bytes(self._body, self._operation.input_fields()) // BYTES_PER_TOKEN

    def usage(self, model: ModelRef) -> Usage:
        """The most that one attempt may use, as far as this can be said."""
        way = counted_as(model.name)
        if way not in self._counted:
            self._counted[way] = self._count(model.name)
        return self._counted[way]

    def _count(self, model: str) -> Usage:
        prompt = self._operation.prompt(self._body, model)
        tokens = prompt.tokens(model)
        # What a file really has may be much more than the guess, so its bytes count here.
        files = max(0, prompt.file_bytes // BYTES_PER_TOKEN - prompt.files)
        unread = prompt.unread_bytes // BYTES_PER_TOKEN + files + self._other_tokens
        return Usage(
            prompt_tokens=tokens.total + unread,
            completion_tokens=self._completion_tokens(),
            audio_prompt_tokens=tokens.audio,
            estimated=True,
        )

    def _completion_tokens(self) -> int:
        if not self._operation.can_stream:  # embeddings have no text
            return 0
        bound = completion_bound(self._body) or ANSWER_TOKENS
        predicted = _size(self._body.get(PREDICTION)) // BYTES_PER_TOKEN
        return min(bound + predicted, MAX_TOKENS) * answers_asked(self._body)


def _other_bytes(body: Mapping[str, Any], read: frozenset[str]) -> int:
    """The size of the fields that nobody here knows: some servers have fields of their own for documents."""
    known = read | READ | UNSEEN | {PREDICTION}
    return sum(_size(value) for name, value in body.items() if name not in known)


def _size(value: object) -> int:
    """The size of a value as JSON, if it can be large at all."""
    if not isinstance(value, str | list | dict):
        return 0
    try:
        return len(write_json(value))
    except (ValueError, TypeError, RecursionError):
        return 0
