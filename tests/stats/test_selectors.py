"""The selectors: all statistics, groups and filters, compared with the same worked out in plain Python."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from chat.models import CallRecord
from stats import selectors
from stats.selectors import read_statistics
from stats.serializers import answer_json
from stats.stats_filter import GROUP_BY, StatsFilter
from tests.support.history import (
    KEYS,
    PARTS,
    START,
    all_calls,
    close_to,
    expected_groups,
    expected_statistics,
    make_call,
    make_random_history,
)

pytestmark = pytest.mark.django_db

NOON = START + dt.timedelta(hours=36)
LATER = START + dt.timedelta(hours=60)


def answer(**filters: Any) -> dict[str, Any]:
    return answer_json(read_statistics(StatsFilter(**filters)), filters.get("group_by"))


def test_an_empty_history_has_no_rates_no_totals_and_no_percentiles() -> None:
    nothing = {"p50": None, "p95": None, "p99": None}
    assert answer() == {
        "total_requests": 0,
        "cancelled_requests": 0,
        "in_progress_requests": 0,
        "average_latency_ms": None,
        "latency_ms": nothing,
        "time_to_first_token_ms": nothing,
        "total_cost_usd": 0.0,
        "error_rate": 0.0,
        "attempt_error_rate": 0.0,
        "fallback_rate": 0.0,
        "default_message_rate": 0.0,
        "race_win_rate": {},
        "race_cost_usd": 0.0,
        "estimated_cost_share": 0.0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        **dict.fromkeys(PARTS, 0),
        "cost_unknown_requests": 0,
        "cost_incomplete_requests": 0,
        "cost_estimated_requests": 0,
        "groups": [],
        "groups_truncated": False,
    }


@pytest.mark.parametrize("group_by", GROUP_BY)
def test_an_empty_history_has_no_groups(group_by: str) -> None:
    assert answer(group_by=group_by)["groups"] == []


def test_cancelled_calls_stand_apart_from_the_error_rate() -> None:
    for status in ("succeeded", "failed", "defaulted", "cancelled", "cancelled"):
        make_call(status=status)
    found = answer()
    assert (found["total_requests"], found["cancelled_requests"]) == (5, 2)
    assert found["error_rate"] == 2 / 3


def test_calls_in_progress_stand_apart_and_an_interrupted_call_is_an_error() -> None:
    for status in ("succeeded", "in_progress", "in_progress", "interrupted"):
        make_call(status=status, cost_usd=None)
    found = answer()
    assert (found["total_requests"], found["in_progress_requests"]) == (4, 2)
    assert found["error_rate"] == 1 / 2
    assert found["cost_unknown_requests"] == 2


def test_a_history_of_cancelled_calls_only_has_no_errors() -> None:
    make_call(status="cancelled")
    assert answer()["error_rate"] == 0.0


def test_a_skipped_attempt_was_never_sent_and_never_raced() -> None:
    make_call(
        {"status": "skipped", "raced": True, "model": "o3"},
        {"status": "failed", "raced": True},
        {"status": "succeeded", "raced": True, "model": "gpt-4o-mini"},
        {"status": "cancelled", "raced": True},
    )
    found = answer()
    assert found["attempt_error_rate"] == 1 / 3
    assert found["race_win_rate"] == {"gpt-4o": 0.0, "gpt-4o-mini": 1.0}


def test_a_race_costs_what_was_spent_on_all_but_the_answer() -> None:
    make_call(
        {"status": "succeeded", "raced": True, "cost_usd": Decimal("1")},
        {"status": "lost", "raced": True, "cost_usd": Decimal("0.2")},
        {"status": "cancelled", "raced": True, "cost_usd": Decimal("0.03")},
        {"status": "failed", "raced": True, "cost_usd": Decimal("0.004")},
        {"status": "failed", "raced": True, "cost_usd": None},
        {"status": "failed", "raced": False, "cost_usd": Decimal("5")},
    )
    assert answer()["race_cost_usd"] == 0.234


def test_the_smallest_cost_is_kept_to_its_last_place() -> None:
    make_call(cost_usd=Decimal("0.0000000001"))
    make_call(cost_usd=Decimal("123456.0000000001"))
    make_call(cost_usd=None)
    stats = read_statistics(StatsFilter()).statistics
    assert stats.cost_unknown_requests == 1
    assert stats.total_cost_usd == pytest.approx(Decimal("123456.0000000002"), abs=Decimal("1e-9"))


def test_costs_that_floats_add_badly_add_up() -> None:
    for cost in ("0.1", "0.2"):
        make_call({"cost_usd": Decimal(cost)}, {"cost_usd": Decimal(cost), "usage_estimated": True}, cost_usd=cost)
    assert read_statistics(StatsFilter()).statistics.total_cost_usd == Decimal("0.3")
    assert answer()["total_cost_usd"] == 0.3
    assert answer()["estimated_cost_share"] == 0.5


@pytest.mark.parametrize("size", [1, 2, 3, 19, 20, 21, 99, 100, 101, 200])
def test_percentiles_are_values_of_the_nearest_rank(size: int) -> None:
    CallRecord.objects.bulk_create(
        CallRecord(request_id=f"req_of_{n}", door="chat", status="succeeded", latency_ms=(n * 37) % size)
        for n in range(size)
    )
    make_call(latency_ms=None, model_used="", model_requested="")
    want = {name: -(-percent * size // 100) - 1 for name, percent in (("p50", 50), ("p95", 95), ("p99", 99))}
    found = answer(group_by="door")
    assert found["latency_ms"] == want
    assert found["groups"][0]["latency_ms"] == want


def test_all_statistics_of_a_random_history_are_right() -> None:
    make_random_history()
    assert answer() == close_to({**expected_statistics(all_calls()), "groups": [], "groups_truncated": False})


@pytest.mark.parametrize("group_by", GROUP_BY)
def test_all_statistics_of_every_group_are_right(group_by: str) -> None:
    make_random_history()
    found = answer(group_by=group_by)
    assert found["groups"] == close_to(expected_groups(all_calls(), group_by))
    assert len(found["groups"]) > 1
    assert found["total_requests"] == 300


FILTERS: list[dict[str, Any]] = [
    {"since": NOON},
    {"until": NOON},
    {"since": NOON, "until": LATER},
    {"model": "o3"},
    {"door": "stream"},
    {"status": "failed"},
    {"api_key": "alpha"},
    {"api_key": ""},
    {"model": "no such model"},
    {"since": NOON, "until": LATER, "model": "gpt-4o", "status": "succeeded", "api_key": "beta"},
]


@pytest.mark.parametrize("filters", FILTERS, ids="+".join)
@pytest.mark.parametrize("group_by", ["model", "hour"])
def test_a_filter_picks_calls_and_their_attempts(filters: dict[str, Any], group_by: str) -> None:
    make_random_history()
    since, until = filters.get("since", START), filters.get("until", START + dt.timedelta(days=9))
    picked = [
        call
        for call in all_calls()
        if since <= call.created_at < until
        and all(KEYS[name](call) == filters[name] for name in ("model", "door", "status", "api_key") if name in filters)
    ]
    assert bool(picked) == (filters.get("model") != "no such model")
    found = answer(**filters, group_by=group_by)
    groups = expected_groups(picked, group_by)
    assert found == close_to({**expected_statistics(picked), "groups": groups, "groups_truncated": False})


def test_since_is_inclusive_and_until_is_not() -> None:
    make_call(created_at=START)
    assert answer(since=START)["total_requests"] == 1
    assert answer(until=START)["total_requests"] == 0
    assert answer(since=START, until=START + dt.timedelta(microseconds=1))["total_requests"] == 1


def test_a_day_ends_at_midnight_utc() -> None:
    for hour, minute in ((23, 59), (0, 0)):
        make_call(created_at=dt.datetime(2026, 11, 20 + (hour == 0), hour, minute, tzinfo=dt.UTC))
    days = answer(group_by="day")["groups"]
    assert [day["key"] for day in days] == ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"]


def test_a_call_without_a_model_is_grouped_under_the_one_asked_for_and_under_no_provider() -> None:
    make_call(model_used="", model_requested="o3", status="failed")
    assert answer(group_by="model")["groups"][0]["model"] == "o3"
    assert answer(group_by="provider")["groups"][0]["provider"] == ""
    assert answer(model="o3")["total_requests"] == 1


def test_groups_are_the_largest_first_and_alphabetical_where_equal() -> None:
    for key in ("b", "a", "c", "c"):
        make_call(api_key=key)
    assert [group["key"] for group in answer(group_by="api_key")["groups"]] == ["c", "a", "b"]


@pytest.mark.parametrize(("group_by", "kept"), [("api_key", ["c", "a"]), ("hour", ["T23:00:00Z", "T00:00:00Z"])])
def test_too_many_groups_keep_the_largest_or_the_latest(
    monkeypatch: pytest.MonkeyPatch, group_by: str, kept: list[str]
) -> None:
    for hours, key in enumerate(("b", "a", "c")):
        for _ in range(2 if key == "c" else 1):
            attempt = {"raced": True, "status": "failed"}
            make_call(attempt, api_key=key, latency_ms=5, created_at=START + dt.timedelta(hours=hours))
    assert answer(group_by=group_by)["groups_truncated"] is False
    monkeypatch.setattr(selectors, "MAX_GROUPS", 2)
    found = answer(group_by=group_by)
    assert found["groups_truncated"] is True
    assert [group["key"][10:] if group_by == "hour" else group["key"] for group in found["groups"]] == kept
    assert all(group["latency_ms"]["p50"] == 5 and group["attempt_error_rate"] == 1.0 for group in found["groups"])
    assert found["total_requests"] == 4


@pytest.mark.parametrize(("group_by", "most"), [(None, 8), *((name, 12) for name in GROUP_BY)])
def test_the_number_of_queries_does_not_grow_with_the_groups(
    django_assert_max_num_queries: Any, group_by: str | None, most: int
) -> None:
    make_random_history(60)
    with django_assert_max_num_queries(most):
        answer(group_by=group_by)
