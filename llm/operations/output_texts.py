"""Collecting the text that a model produced, from whatever shape an answer has."""

from __future__ import annotations

from collections.abc import Iterator

# Fields of an answer that the model did not write. `data` holds audio or an image as base64, which is no text.
NOT_OUTPUT = frozenset({"role", "id", "type", "data"})


def texts_within(value: object) -> Iterator[str]:
    """Every text inside a message, a delta or a list of output items, the arguments of tool calls included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in NOT_OUTPUT:
                yield from texts_within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_within(inner)
