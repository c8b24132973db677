"""Makes up calls and attempts with the ORM, and works out the statistics of /stats over them in plain Python."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from chat.models import Attempt, CallRecord

START = dt.datetime(2026, 11, 20, 22, 30, tzinfo=dt.UTC)
MODELS = ("gpt-4o", "gpt-4o-mini", "o3")
# The counts of a call that /stats adds up beside those of its prompt and its completion.
PARTS = (
    "cached_tokens",
    "reasoning_tokens",
    "cache_write_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
    "web_searches",
    "file_searches",
)
_numbers = count(1)


def make_call(*attempts: dict[str, Any], **columns: Any) -> CallRecord:
    """Store a call that succeeded with gpt-4o, except for the given columns, and its attempts in the same way."""
    call = made_up_call(**columns)
    call.save()
    for attempt in made_up_attempts(call, attempts):
        attempt.save()
    return call


def made_up_call(**columns: Any) -> CallRecord:
    model_used = columns.setdefault("model_used", "gpt-4o")
    columns.setdefault("provider_used", "openai" if model_used else "")
    defaults = {
        "request_id": f"req_{next(_numbers)}",
        "created_at": START,
        "door": "chat",
        "route": "gpt-4o",
        "model_requested": "gpt-4o",
        "status": "succeeded",
    }
    return CallRecord(**defaults | columns)


def made_up_attempts(call: CallRecord, attempts: Iterable[dict[str, Any]]) -> Iterator[Attempt]:
    for ordinal, attempt in enumerate(attempts):
        own = {"model": "gpt-4o", "provider": "openai", "status": "succeeded", "started_after_ms": 0}
        yield Attempt(call=call, ordinal=ordinal, **own | attempt)


def make_random_history(calls: int = 300, seed: int = 7) -> None:
    """Store calls of three days, the same ones for the same seed."""
    rng = random.Random(seed)

    def maybe(value: Any, chance: float = 0.8) -> Any:
        return value if rng.random() < chance else None

    def cost() -> Decimal | None:
        return maybe(Decimal(rng.randrange(10**9)).scaleb(-10))

    rows: list[CallRecord] = []
    attempts: list[list[dict[str, Any]]] = []
    for _ in range(calls):
        status = rng.choice(CallRecord.Status.values)
        attempts.append(
            [
                {
                    "model": rng.choice(MODELS),
                    "status": rng.choice(Attempt.Status.values),
                    "raced": rng.random() < 0.6,
                    "usage_estimated": rng.random() < 0.3,
                    "cost_usd": cost(),
                }
                for _ in range(rng.randrange(4))
            ]
        )
        row = made_up_call(
            created_at=START + dt.timedelta(seconds=rng.randrange(3 * 86400), microseconds=rng.randrange(2) * 1500),
            door=rng.choice(CallRecord.Door.values),
            model_requested=rng.choice(MODELS),
            model_used=rng.choice(MODELS) if status == "succeeded" else "",
            provider_used=rng.choice(("openai", "other")) if status == "succeeded" else "",
            status=status,
            fallback_triggered=rng.random() < 0.2,
            is_default_message=status == "defaulted",
            api_key=rng.choice(("", "alpha", "beta")),
            latency_ms=maybe(rng.randrange(40)),
            time_to_first_token_ms=maybe(rng.randrange(5000), 0.4),
            prompt_tokens=maybe(rng.randrange(2000)),
            completion_tokens=maybe(rng.randrange(2000)),
            cost_usd=cost(),
            cost_incomplete=rng.random() < 0.2,
            cost_estimated=rng.random() < 0.2,
            usage_estimated=rng.random() < 0.2,
            cached=rng.random() < 0.3,
            **{name: maybe(rng.randrange(100)) for name in PARTS},
        )
        rows.append(row)
    CallRecord.objects.bulk_create(rows)
    Attempt.objects.bulk_create(
        attempt for call, own in zip(rows, attempts, strict=True) for attempt in made_up_attempts(call, own)
    )


# The key of a call for each `group_by`.
KEYS: dict[str, Callable[[CallRecord], str]] = {
    "model": lambda call: call.model_used or call.model_requested,
    "provider": lambda call: call.provider_used,
    "door": lambda call: call.door,
    "status": lambda call: call.status,
    "api_key": lambda call: call.api_key,
    "hour": lambda call: call.created_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:00:00Z"),
    "day": lambda call: call.created_at.astimezone(dt.UTC).strftime("%Y-%m-%dT00:00:00Z"),
}


def all_calls() -> list[CallRecord]:
    return list(CallRecord.objects.prefetch_related("attempts"))


def expected_groups(calls: Iterable[CallRecord], group_by: str) -> list[dict[str, Any]]:
    """The groups that /stats must answer for these calls."""
    grouped: dict[str, list[CallRecord]] = defaultdict(list)
    for call in calls:
        grouped[KEYS[group_by](call)].append(call)
    in_order = sorted(grouped, key=lambda key: (0 if group_by in {"hour", "day"} else -len(grouped[key]), key))
    return [{"key": key, group_by: key, **expected_statistics(grouped[key])} for key in in_order]


def expected_statistics(calls: Iterable[CallRecord]) -> dict[str, Any]:
    """The statistics that /stats must answer for these calls, without groups."""
    calls = list(calls)
    attempts = [attempt for call in calls for attempt in call.attempts.all()]
    latencies = [call.latency_ms for call in calls if call.latency_ms is not None]
    first_tokens = [call.time_to_first_token_ms for call in calls if call.time_to_first_token_ms is not None]
    cancelled = [call for call in calls if call.status == "cancelled"]
    in_progress = [call for call in calls if call.status == "in_progress"]
    unanswered = [call for call in calls if call.status in {"failed", "defaulted", "interrupted"}]
    sent = [attempt for attempt in attempts if attempt.status != "skipped"]
    raced = [attempt for attempt in sent if attempt.raced]
    return {
        "total_requests": len(calls),
        "cancelled_requests": len(cancelled),
        "in_progress_requests": len(in_progress),
        "average_latency_ms": sum(latencies) / len(latencies) if latencies else None,
        "latency_ms": _percentiles(latencies),
        "time_to_first_token_ms": _percentiles(first_tokens),
        "total_cost_usd": float(_cost(calls)),
        "error_rate": _share(len(unanswered), len(calls) - len(cancelled) - len(in_progress)),
        "attempt_error_rate": _share(sum(attempt.status == "failed" for attempt in sent), len(sent)),
        "fallback_rate": _share(sum(call.fallback_triggered for call in calls), len(calls)),
        "default_message_rate": _share(sum(call.is_default_message for call in calls), len(calls)),
        "race_win_rate": {
            model: _share(
                sum(attempt.model == model and attempt.status == "succeeded" for attempt in raced),
                sum(attempt.model == model for attempt in raced),
            )
            for model in {attempt.model for attempt in raced}
        },
        "race_cost_usd": float(_cost(attempt for attempt in raced if attempt.status != "succeeded")),
        "estimated_cost_share": _share(
            _cost(attempt for attempt in attempts if attempt.usage_estimated), _cost(attempts)
        ),
        "prompt_tokens": sum(call.prompt_tokens or 0 for call in calls),
        "completion_tokens": sum(call.completion_tokens or 0 for call in calls),
        **{name: sum(getattr(call, name) or 0 for call in calls) for name in PARTS},
        "cost_incomplete_requests": sum(call.cost_incomplete for call in calls),
        "cost_estimated_requests": sum(
            call.cost_estimated or (call.usage_estimated and not call.cached) for call in calls
        ),
        "cost_unknown_requests": sum(call.cost_usd is None and call.status != "in_progress" for call in calls),
    }


def _percentiles(values: list[int]) -> dict[str, int | None]:
    ordered = sorted(values)
    ranks = {name: math.ceil(percent * len(ordered) / 100) for name, percent in (("p50", 50), ("p95", 95), ("p99", 99))}
    return {name: ordered[rank - 1] if ordered else None for name, rank in ranks.items()}


def _cost(rows: Iterable[CallRecord | Attempt]) -> Decimal:
    return sum((row.cost_usd for row in rows if row.cost_usd is not None), Decimal())


def _share(part: float | Decimal, whole: float | Decimal) -> float:
    return float(part / whole) if whole else 0.0


def close_to(expected: Any) -> Any:
    """Equal, except for the last digits of floating-point numbers, as which SQLite adds up decimals."""
    match expected:
        case float():
            return pytest.approx(expected, rel=1e-12, abs=1e-10)
        case dict():
            return {name: close_to(value) for name, value in expected.items()}
        case list():
            return [close_to(value) for value in expected]
    return expected
