"""manage.py reprice: which rows get a new cost, what is kept, and what is said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.models import Attempt, CallRecord, LateHour
from chat.record.late_hours import hour_of
from llm import ModelPrice
from llm.simulator import Behaviour, SimulatorThread
from stats.models import HourlyCalls
from stats.roll_ups.roll_up import roll_up_hour
from stats.selectors import read_statistics
from stats.stats_filter import StatsFilter
from tests.support.history import START, make_call

pytestmark = pytest.mark.django_db

ONE_DOLLAR = ModelPrice(Decimal(1), Decimal(1))
USED = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "model": "m", "cost_usd": Decimal("0.25")}


@pytest.fixture(autouse=True)
def prices(settings: Any) -> None:
    """A million tokens of the model `m` cost one dollar."""
    settings.PRICES = {"m": ONE_DOLLAR}


def reprice(*arguments: str) -> str:
    output = StringIO()
    call_command("reprice", "--since=2026-11-01", *arguments, stdout=output, verbosity=0)
    return output.getvalue()


def costs(call: CallRecord) -> tuple[Any, ...]:
    call.refresh_from_db()
    return call.cost_usd, call.cost_incomplete, call.original_cost_usd


def costs_of_attempts(call: CallRecord) -> list[tuple[Any, ...]]:
    return list(call.attempts.values_list("cost_usd", "cost_incomplete", "original_cost_usd"))


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["yesterday", "30", "2026-13-01", "-1d", "30x", "1.5d", ""])
def test_a_moment_that_is_none_is_refused_with_the_reason(moment: str) -> None:
    with pytest.raises(CommandError, match=r"--since: '.*' is no "):
        call_command("reprice", f"--since={moment}")


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(CommandError, match="--since must be before --until"):
        reprice("--until=2026-10-01")


def test_a_dry_run_that_is_to_be_applied_is_refused() -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        reprice("--dry-run", "--no-input")


# --- What is left alone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_without_a_terminal_and_an_order_nothing_is_changed_and_the_change_is_shown(arguments: tuple[str, ...]) -> None:
    call = make_call(USED, {**USED, "model": "other"}, cost_usd="0.5")
    printed = reprice(*arguments)
    assert costs(call) == (Decimal("0.5"), False, None)
    assert printed.splitlines()[1].split() == ["openai/m", "1", "0.2500000000", "1.0000000000", "0.7500000000"]
    assert "1 of 2 attempts with usage would change." in printed
    assert ("Nothing was changed. Add --no-input" in printed) == (not arguments)


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param({"cost_stated": True}, id="the provider stated the cost"),
        pytest.param({"prompt_tokens": None, "completion_tokens": None}, id="nothing is known of its tokens"),
        pytest.param({"model": "without-a-price"}, id="no price is known"),
        pytest.param({"provider": "gone"}, id="the provider is gone, and no price list has its name"),
    ],
)
def test_what_has_no_better_price_keeps_its_cost(settings: Any, attempt: dict[str, Any]) -> None:
    settings.PRICES = {"openai/m": ONE_DOLLAR}
    call = make_call({**USED, **attempt}, cost_usd="0.25")
    assert "0 of" in reprice("--no-input")
    assert costs(call) == (Decimal("0.25"), False, None)


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"status": "in_progress"}, id="it runs"),
        pytest.param({"lease_until": timezone.now() + dt.timedelta(hours=1)}, id="its answer is read on"),
    ],
)
def test_a_call_whose_rows_will_be_written_again_is_left_alone(columns: dict[str, Any]) -> None:
    call = make_call(USED, cost_usd="0.25", **columns)
    reprice("--no-input")
    assert costs(call) == (Decimal("0.25"), False, None)


def test_only_the_wanted_time_model_and_provider_are_repriced(settings: Any) -> None:
    settings.PRICES = {"m": ONE_DOLLAR, "n": ONE_DOLLAR}
    inside = make_call(USED, {**USED, "model": "n"}, {**USED, "provider": "azure"}, cost_usd="0.75")
    before = make_call(USED, created_at=START - dt.timedelta(hours=1))
    after = make_call(USED, created_at=START + dt.timedelta(hours=1))
    arguments = (f"--since={START.isoformat()}", f"--until={(START + dt.timedelta(hours=1)).isoformat()}")
    reprice(*arguments, "--model=m", "--provider=openai", "--no-input")
    assert [cost for cost, _, _ in costs_of_attempts(inside)] == [Decimal(1), Decimal("0.25"), Decimal("0.25")]
    assert costs(inside) == (Decimal("1.5"), False, Decimal("0.75"))
    assert costs_of_attempts(before) == costs_of_attempts(after) == [(Decimal("0.25"), False, None)]


# --- What is changed -------------------------------------------------------------------------------------------------


def test_a_call_costs_what_its_attempts_cost_and_every_first_cost_is_kept() -> None:
    call = make_call(USED, {**USED, "prompt_tokens": 500_000}, {"status": "skipped"}, cost_usd="0.5")
    printed = reprice("--no-input")
    assert "2 of 2 attempts with usage changed." in printed
    assert costs_of_attempts(call) == [
        (Decimal(1), False, Decimal("0.25")),
        (Decimal("0.5"), False, Decimal("0.25")),
        (None, False, None),
    ]
    assert costs(call) == (Decimal("1.5"), False, Decimal("0.5"))


def test_the_first_cost_is_kept_however_often_prices_change(settings: Any) -> None:
    call = make_call(USED, cost_usd="0.25")
    for price in (1, 2, 3):
        settings.PRICES = {"m": ModelPrice(Decimal(price), Decimal(0))}
        reprice("--no-input")
    assert costs(call) == (Decimal(3), False, Decimal("0.25"))
    assert costs_of_attempts(call) == [(Decimal(3), False, Decimal("0.25"))]


def test_a_cost_that_was_unknown_becomes_known_and_its_first_cost_is_kept_as_0(settings: Any) -> None:
    call = make_call({**USED, "cost_usd": None, "cost_incomplete": True}, cost_usd=None, cost_incomplete=True)
    for price in (1, 2):
        settings.PRICES = {"m": ModelPrice(Decimal(price), Decimal(0))}
        reprice("--no-input")
    assert costs(call) == (Decimal(2), False, Decimal(0))


def test_a_call_of_which_one_attempt_still_has_no_price_is_incomplete() -> None:
    call = make_call(USED, {**USED, "model": "without-a-price", "cost_usd": None}, cost_usd="0.25")
    assert "1 attempts have no known price" in reprice("--no-input")
    assert costs(call) == (Decimal(1), True, Decimal("0.25"))


def test_a_second_run_changes_nothing_and_locks_nothing() -> None:
    call = make_call(USED, {**USED, "prompt_tokens": 333}, cost_usd="0.5")
    reprice("--no-input")
    before = costs(call), costs_of_attempts(call)
    with CaptureQueriesContext(connection) as queries:
        assert "0 of 2 attempts with usage changed." in reprice("--no-input")
    assert (costs(call), costs_of_attempts(call)) == before
    assert not [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "INSERT", "BEGIN"))]


@pytest.mark.django_db(transaction=True)
def test_what_the_service_has_just_written_has_the_price_that_repricing_finds(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread, settings: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(cached_tokens=100, reasoning_tokens=50))
    client = start_site(PRICES={})
    for path, body in (
        ("/chat", {"prompt": "Hello, world!", "model": "gpt-4o"}),
        ("/chat/stream", {"prompt": "Hello, world!", "model": "gpt-6-luna"}),
        ("/chat/parallel", {"prompt": "Hello, world!", "models": ["gpt-4.1", "gpt-4o-mini"]}),
        ("/v1/responses", {"input": "Hello", "model": "gpt-4.1", "service_tier": "flex"}),
        ("/v1/embeddings", {"input": "Hello", "model": "text-embedding-3-small"}),
    ):
        assert client.post(path, json=body).status_code == 200
    before = list(Attempt.objects.order_by("id").values_list("cost_usd", "cost_incomplete"))
    assert sum(cost is not None and cost > 0 for cost, _ in before) >= 5
    printed = reprice("--no-input")
    assert printed.startswith("0 of "), printed
    assert list(Attempt.objects.order_by("id").values_list("cost_usd", "cost_incomplete")) == before
    assert not CallRecord.objects.exclude(original_cost_usd=None).exists()


def test_cached_tokens_of_the_columns_have_their_own_price(settings: Any) -> None:
    settings.PRICES = {"m": ModelPrice(Decimal(1), Decimal(0), cached=Decimal("0.1"))}
    call = make_call({**USED, "cached_tokens": 500_000}, cost_usd="0.25")
    reprice("--no-input")
    assert costs(call)[0] == Decimal("0.55")


@pytest.mark.parametrize("size", ["1", "2", "7"])
def test_calls_of_one_moment_are_each_looked_at_once_whatever_the_size_of_a_batch(size: str) -> None:
    calls = [make_call(USED, cost_usd="0.25", created_at=START) for _ in range(5)]
    assert "5 of 5 attempts with usage changed." in reprice("--no-input", f"--batch-size={size}")
    assert [costs(call)[0] for call in calls] == [Decimal(1)] * 5


# --- Who follows -----------------------------------------------------------------------------------------------------


def test_roll_ups_and_statistics_follow_exactly() -> None:
    for cost in ("0.0000000001", "0.1", "0.2"):
        make_call({**USED, "cost_usd": cost, "raced": True, "status": "lost"}, cost_usd=cost)
    while roll_up_hour():
        pass
    reprice("--no-input")
    assert set(LateHour.objects.values_list("hour", flat=True)) == {hour_of(START)}
    read_from_calls = read_statistics(StatsFilter()).statistics
    while roll_up_hour():
        pass
    assert not LateHour.objects.exists()
    assert [row.cost for row in HourlyCalls.objects.all()] == [3 * 10**10]
    rolled_up = read_statistics(StatsFilter()).statistics
    assert rolled_up == read_from_calls
    assert str(rolled_up.total_cost_usd) == str(rolled_up.race_cost_usd) == "3.0000000000"


def test_a_dry_run_leaves_no_note_of_a_late_hour() -> None:
    make_call(USED, cost_usd="0.25")
    reprice("--dry-run")
    assert not LateHour.objects.exists()


def test_the_sum_of_first_costs_is_what_the_books_said_before() -> None:
    make_call(USED, {**USED, "cost_usd": None}, cost_usd="0.25", cost_incomplete=True)
    before = sum(attempt.cost_usd or 0 for attempt in Attempt.objects.all())
    reprice("--no-input")
    after = [
        attempt.cost_usd if attempt.original_cost_usd is None else attempt.original_cost_usd
        for attempt in Attempt.objects.all()
    ]
    assert sum(cost or 0 for cost in after) == before == Decimal("0.25")
