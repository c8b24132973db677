"""The values that `/stats` is made of: what was asked for, and what the database counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

GroupBy = Literal["model", "provider", "door", "status", "api_key", "hour", "day"]
GROUP_BY: tuple[GroupBy, ...] = get_args(GroupBy)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsFilter:
    """Which calls are counted, and how they are grouped. None means: do not narrow by this.

    `since` is inclusive and `until` is not, so that neighbouring periods neither overlap nor leave a gap. Both are
    aware. `model` is the model that answered, or the one asked for where none did. An empty `api_key` stands for the
    calls without one.
    """

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    model: str | None = None
    door: str | None = None
    status: str | None = None
    api_key: str | None = None
    group_by: GroupBy | None = None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Exact, by nearest rank: each is a value that was measured. None where nothing was."""

    p50: int | None = None
    p95: int | None = None
    p99: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is said of a set of calls. Rates are shares from 0 to 1, and 0 where there is nothing to divide by.

    `error_rate` leaves cancelled calls and those in progress out on both sides, because nobody knows how they would
    have ended; an interrupted call is an error.
    `attempt_error_rate` is over the attempts that were sent: a skipped one never was. `race_cost_usd` is what raced
    attempts cost that were not the answer.
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
    cost_unknown_requests: int


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of the calls that share a key. The key of an hour or a day is its first moment, in ISO 8601, UTC."""

    key: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Stats:
    """The answer to one `StatsFilter`. `truncated` says that there were more groups than are given."""

    figures: Figures
    groups: tuple[Group, ...] = ()
    truncated: bool = False
