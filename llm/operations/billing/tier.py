"""The service tier that an answer was served in, as it says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TIER: Final = "service_tier"

# Says that the provider chooses, and not what it has chosen.
NOT_TOLD: Final = "auto"

# Anthropic names its fast mode in the usage, as a speed beside the tier.
SPEED: Final = "speed"
FAST: Final = "fast"


def told_tier(answer: Mapping[str, Any]) -> str:
    """The tier that an answer names, be it in its usage as Anthropic does; empty if it names none."""
    usage = answer.get("usage")
    in_usage = usage if isinstance(usage, Mapping) else {}
    if in_usage.get(SPEED) == FAST:
        return FAST
    return _word(answer.get(TIER)) or _word(in_usage.get(TIER))


def asked_tier(body: Mapping[str, Any]) -> str:
    """The tier that a body asks for; empty if it leaves that to the provider."""
    return _word(body.get(TIER))


def _word(value: object) -> str:
    return value if isinstance(value, str) and value != NOT_TOLD else ""
