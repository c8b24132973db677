"""Brings the names of models together: we know `gpt-4o`, and the bill says `gpt-4o-2024-08-06, cached input`."""

from __future__ import annotations

import re
from functools import lru_cache

from llm import priced_as

# What the bill does not say to be for anything in particular.
UNNAMED = "(no line item)"

# The date at the end of a name of a model that the price list does not know.
DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@lru_cache(maxsize=10_000)
def model_line(model: str) -> str:
    """The line on which a model is compared: its name in the list of prices, or else its own without a date.

    A model that somebody has tuned is `ft:gpt-4o:us::abc` for us and `ft-gpt-4o` on the bill.
    """
    name = model.strip().lower()
    for mark in ("ft:", "ft-"):
        if name.startswith(mark):
            return f"ft-{model_line(name[len(mark) :].split(':')[0])}"
    return priced_as("openai", name) or DATE.sub("", name)


def bill_line(line_item: str | None) -> str:
    """The line on which an item of the bill is compared. Before its comma there is a model, or something else."""
    if not line_item or not line_item.strip():
        return UNNAMED
    return model_line(line_item.split(",")[0])
