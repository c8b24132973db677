"""What the name of a model tells: whether two names mean the same model, and what a model was made from."""

from __future__ import annotations

import re
from functools import lru_cache

# What stands behind the name of a model for one of its versions: a date, as -2024-08-06, -20240806, @20240806, -0613 or
# -2409, a number of Gemini, as -001, or the word for the newest version.
VERSION = re.compile(r"[-@](20\d\d-\d\d-\d\d|20\d{6}|\d{3,4}|latest)$")

# OpenAI's name of a fine-tuned model: ft:BASE:ORGANIZATION:SUFFIX:ID.
FINE_TUNED = "ft:"


@lru_cache(maxsize=1_000)
def is_same_model(asked: str, answered: str) -> bool:
    """Whether an answer names the model that was asked, be it by the name of one of its versions.

    A vendor before the name, as in `openai/gpt-4o`, may be in one of them only.
    """
    if asked == answered:
        return True
    asked, answered = asked.lower(), answered.lower()
    if ("/" in asked) is not ("/" in answered):
        asked, answered = asked.rpartition("/")[2], answered.rpartition("/")[2]
    if asked == answered:
        return True
    versions = [version_of(name) for name in (asked, answered)]
    # Two names with different dates are two models, unless one of them only says which is the newest.
    is_told_once = not all(versions) or "latest" in versions
    return without_version(asked) == without_version(answered) and is_told_once


def version_of(model: str) -> str:
    found = VERSION.search(model)
    return found[1] if found else ""


def without_version(model: str) -> str:
    return VERSION.sub("", model)


def base_of(model: str) -> str:
    """The model that a fine-tuned one was made from; empty if this is none."""
    return model.split(":")[1] if model.lower().startswith(FINE_TUNED) else ""
