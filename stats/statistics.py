"""What /stats answers about a set of calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Exact, by nearest rank: each of them is a value that was measured. None if nothing was measured."""

    p50: int | None = None
    p95: int | None = None
    p99: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The statistics of a set of calls. Rates are shares from 0 to 1, and 0 if there is nothing to divide by.

    `error_rate` counts neither cancelled calls nor those in progress, because nobody knows how they would have ended.
    An interrupted call counts as an error. `attempt_error_rate` counts the attempts that were sent; a skipped attempt
    was not. `race_cost_usd` is the cost of the raced attempts that did not become the answer.
    """

    total_requests: int
    cancelled_requests: int
    in_progress_requests: int
    average_latency_ms: float | None
    latency_ms: Percentiles
    time_to_first_token_ms: Percentiles
    total_cost_usd: Decimal
    error_rate: float
    attempt_error_rate: float
    fallback_rate: float
    default_message_rate: float
    race_win_rate: Mapping[str, float]
    race_cost_usd: Decimal
    estimated_cost_share: float
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cache_write_tokens: int
    audio_prompt_tokens: int
    audio_completion_tokens: int
    web_searches: int
    file_searches: int
    cost_unknown_requests: int
    cost_incomplete_requests: int
    cost_estimated_requests: int


@dataclass(frozen=True, slots=True)
class Group:
    """The statistics of the calls that share a key.

    The key of an hour or a day is the time at which it begins, in UTC, as ISO 8601 writes it.
    """

    key: str
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class StatsAnswer:
    """The answer to a `StatsFilter`. `statistics` are those of all calls that it selects.

    `truncated` means that there are more groups than `groups` contains.
    """

    statistics: Statistics
    groups: tuple[Group, ...] = ()
    truncated: bool = False
