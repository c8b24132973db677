"""Finds the names in `.env` that are nearly names of settings: a typo there would change nothing, and tell nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import SequenceMatcher

# How much of two names must be the same, from 0 to 1.
SIMILARITY = 0.8


def misspelt(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Each name that is not known, but nearly, and the name that was probably meant."""
    found = {}
    for name in names:
        if name in known:
            continue
        ratio, nearest = max((SequenceMatcher(None, name.upper(), other).ratio(), other) for other in sorted(known))
        if ratio >= SIMILARITY:
            found[name] = nearest
    return found
