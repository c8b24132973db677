"""What happens to a request, by chance: how long it thinks, how much it says, how fast, and how it ends.

All distributions stand here. They are not fitted to our estimates: the speeds are those of hosted models, made ten
times faster so that a run takes seconds, and the lengths are made about three times shorter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any

from tests.ledger.upstream.prices import PRICES, Searches
from tests.ledger.upstream.texts import random_language

# Tokens of an answer and of hidden reasoning: log-normal, by median and sigma, and their bounds.
ANSWER = (110, 0.8, 4, 700)
REASONING = (160, 0.9, 10, 1_500)

# The models that reason before they answer, and that show none of it in a chat completion.
REASONS = frozenset({"o3", "o4-mini", "gpt-5.4", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna"})

# Tokens per second by model. A request has its own speed around it: log-normal with this sigma.
SPEEDS = {"gpt-4o": 900, "gpt-4o-mini": 1_100, "gpt-4-turbo": 350, "o3": 800, "gpt-5.4": 700, "gpt-5.6-luna": 1_500}
OTHER_SPEED = 900
SPEED_SIGMA = 0.25

# Seconds from the request to the first token it makes: log-normal, by median and sigma.
FIRST_TOKEN = (0.03, 0.5)

# How many tokens go into one chunk of a stream, at random.
CHUNK_SIZES = (1, 2, 2, 3, 4, 6)

# After a connection is cut the model works on until this is noticed: exponential, by its mean in seconds.
NOTICED_AFTER = 0.004

# How requests end, in parts of a thousand. A request that is refused costs nothing. The others are answered.
REFUSED_429 = 20
REFUSED_500 = 15
REFUSED_503 = 15
BREAKS = 25
STREAM_ERRORS = 10

# How often `priority` is served as `default`, because there was too much of it.
DOWNGRADED = 0.15

# How often an answer calls a function, if there is one.
CALLS_FUNCTION = 0.5

# Tokens of the pages that one web search puts into the prompt: uniform. OpenAI bills them as input tokens.
SEARCH_CONTENT = (300, 2_500)


class Fate(Enum):
    ANSWERED = "answered"
    # The connection breaks before the answer is complete, though the provider has done its work.
    BREAKS = "breaks"
    # A stream ends with an event that names an error.
    STREAM_ERROR = "stream error"


@dataclass(frozen=True, slots=True)
class Plan:
    fate: Fate
    # The HTTP status of a refusal, or 0.
    refusal: int
    tier: str
    language: str
    reasoning: int
    answer: int
    # Whether the answer ends because it has reached the caller's limit.
    cut_short: bool
    calls_function: bool
    searches: Searches
    pages_opened: int
    search_content: int
    seconds_to_first_token: float
    seconds_per_token: float
    noticed_after: float
    # After which part of the answer the connection breaks.
    breaks_at: float


def plan_of(model: str, body: Mapping[str, Any], random: Random) -> Plan:
    """The plan of a request. `random` belongs to this request alone, so that no other one changes it."""
    fate, refusal = _fate(random)
    asked_tier = body.get("service_tier") or "auto"
    reasoning = _log_normal(random, *REASONING) if model in REASONS else 0
    answer = _log_normal(random, *ANSWER)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens")
    limit = limit or reasoning + answer
    shown_reasoning = min(reasoning, limit)
    shown_answer = min(answer, limit - shown_reasoning)
    web, file = _searches(body, random)
    speed = SPEEDS.get(model, OTHER_SPEED) * random.lognormvariate(0, SPEED_SIGMA)
    return Plan(
        fate=fate,
        refusal=400 if asked_tier not in ("auto", "default", *PRICES[model]) else refusal,
        tier=_served_tier(asked_tier, random),
        language=random_language(random),
        reasoning=shown_reasoning,
        answer=shown_answer,
        cut_short=shown_reasoning + shown_answer < reasoning + answer,
        calls_function=_has_functions(body) and random.random() < CALLS_FUNCTION,
        searches=Searches(web=web, file=file),
        pages_opened=random.randint(0, 2) if web else 0,
        search_content=sum(random.randint(*SEARCH_CONTENT) for _ in range(web)),
        seconds_to_first_token=random.lognormvariate(math.log(FIRST_TOKEN[0]), FIRST_TOKEN[1]),
        seconds_per_token=1 / speed,
        noticed_after=random.expovariate(1 / NOTICED_AFTER),
        breaks_at=random.random(),
    )


def _fate(random: Random) -> tuple[Fate, int]:
    drawn = random.randrange(1000)
    for width, fate, refusal in (
        (REFUSED_429, Fate.ANSWERED, 429),
        (REFUSED_500, Fate.ANSWERED, 500),
        (REFUSED_503, Fate.ANSWERED, 503),
        (BREAKS, Fate.BREAKS, 0),
        (STREAM_ERRORS, Fate.STREAM_ERROR, 0),
    ):
        if drawn < width:
            return fate, refusal
        drawn -= width
    return Fate.ANSWERED, 0


def _served_tier(asked: str, random: Random) -> str:
    downgraded = random.random() < DOWNGRADED
    if asked == "priority" and not downgraded:
        return "priority"
    return "flex" if asked == "flex" else "default"


def _searches(body: Mapping[str, Any], random: Random) -> tuple[int, int]:
    kinds = [tool.get("type") for tool in body.get("tools") or ()]
    web = random.randint(1, 3) if "web_search" in kinds else 0
    file = random.randint(1, 2) if "file_search" in kinds else 0
    return web, file


def _has_functions(body: Mapping[str, Any]) -> bool:
    return any(tool.get("type") == "function" for tool in body.get("tools") or ())


def _log_normal(random: Random, median: int, sigma: float, least: int, most: int) -> int:
    return max(least, min(most, round(random.lognormvariate(math.log(median), sigma))))
