"""Roll-ups: whatever happens to the history, the statistics are those of the calls themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Model
from django.utils import timezone

from chat.models import Attempt, CallRecord, LateHour
from chat.record import open_calls, writer
from chat.record.call_rows import CallRows
from chat.record.late_hours import hour_of, note_changes
from stats.models import HourlyAttempts, HourlyCalls, RollUpState
from stats.roll_ups.periods import HOUR
from stats.roll_ups.roll_up import hours_left, roll_up_hour, start_again
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


def run(*arguments: str) -> None:
    call_command(*arguments, verbosity=0, stdout=StringIO())


def roll_up() -> None:
    run("roll_up")


def answer(**filters: Any) -> dict[str, Any]:
    return answer_json(read_statistics(StatsFilter(**filters)), filters.get("group_by"))


def assert_all_statistics_are_right(**filters: Any) -> None:
    since, until = filters.get("since", START), filters.get("until", timezone.now())
    picked = [
        call
        for call in all_calls()
        if since <= call.created_at < until
        and all(KEYS[name](call) == filters[name] for name in ("model", "door", "status", "api_key") if name in filters)
    ]
    groups = expected_groups(picked, filters["group_by"]) if "group_by" in filters else []
    assert answer(**filters) == close_to({**expected_statistics(picked), "groups": groups, "groups_truncated": False})


def rows_of(call: CallRecord, *, announced: bool = False, **values: Any) -> CallRows:
    names = [field.name for field in CallRecord._meta.concrete_fields if field.name != "id"]
    own = {name: getattr(call, name) for name in names} | values
    attempt = {"ordinal": 0, "model": "o3", "provider": "openai", "status": "succeeded", "started_after_ms": 0}
    return CallRows(call=own, attempts=[attempt | {"cost_usd": own["cost_usd"]}], announced=announced)


# The rows of `rolled_up`, from when they were first made.
_rows: list[list[Model]] = []


@pytest.fixture
def rolled_up() -> None:
    """A random history of three days, and its roll-ups.

    It is rolled up once in a process, which takes most of a second, and its rows are copied for each test.
    """
    if not _rows:
        make_random_history(200)
        roll_up()
        _rows.extend(list(model.objects.all()) for model in (CallRecord, Attempt, HourlyCalls, HourlyAttempts))
        _rows.append(list(RollUpState.objects.all()))
        assert all(_rows)
    else:
        for rows in _rows:
            type(rows[0])._default_manager.bulk_create(rows)


# --- What is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group_by", [None, *GROUP_BY])
def test_the_statistics_of_closed_hours_are_those_of_their_calls(rolled_up: None, group_by: str | None) -> None:
    assert_all_statistics_are_right(**({"group_by": group_by} if group_by else {}))


def test_closed_hours_are_read_from_their_roll_ups_alone(rolled_up: None) -> None:
    before = answer(group_by="model")
    Attempt.objects.all().delete()
    CallRecord.objects.all().delete()
    assert answer(group_by="model") == before


@pytest.mark.parametrize("minutes", [0, 1, 59])
@pytest.mark.parametrize("hours", [0, 1, 2, 40])
def test_a_period_may_begin_and_end_within_an_hour(rolled_up: None, hours: int, minutes: int) -> None:
    since = START + dt.timedelta(hours=3, minutes=30)
    until = since + dt.timedelta(hours=hours, minutes=minutes, microseconds=1)
    assert_all_statistics_are_right(since=since, until=until, group_by="status")


@pytest.mark.parametrize(
    "filters", [{"model": "o3"}, {"door": "stream"}, {"status": "failed"}, {"api_key": ""}, {"api_key": "beta"}]
)
def test_a_filter_selects_the_same_calls_from_roll_ups(rolled_up: None, filters: dict[str, str]) -> None:
    assert_all_statistics_are_right(**filters, group_by="day", since=START + dt.timedelta(hours=5, minutes=7))


def test_a_cost_keeps_its_last_place_in_roll_ups() -> None:
    for cost in ("0.0000000001", "123456.0000000001", "0.1", "0.2"):
        make_call({"cost_usd": cost, "raced": True, "status": "lost"}, cost_usd=cost)
    before = read_statistics(StatsFilter()).statistics
    roll_up()
    after = read_statistics(StatsFilter()).statistics
    assert str(after.total_cost_usd) == str(before.total_cost_usd) == "123456.3000000002"
    assert str(after.race_cost_usd) == "123456.3000000002"


def test_while_the_roll_ups_are_made_again_every_answer_is_right(rolled_up: None) -> None:
    """As after the migration that gave them the columns of the bill: some hours are rolled up, and others are not."""
    before = answer(group_by="model")
    bill = {name: before[name] for name in (*PARTS, "cost_incomplete_requests", "cost_estimated_requests")}
    assert all(bill.values())
    start_again()
    made = 0
    while True:
        assert answer(group_by="model") == before
        if not roll_up_hour():
            break
        made += 1
    assert made > 5
    assert HourlyCalls.objects.exists()
    run("roll_up", "--again")
    assert answer(group_by="model") == before


# --- What is rolled up -----------------------------------------------------------------------------------------------


def test_an_empty_history_has_nothing_to_roll_up() -> None:
    assert (hours_left(), roll_up_hour()) == (0, False)


def test_young_hours_are_left_alone() -> None:
    now = timezone.now()
    make_call(created_at=now - dt.timedelta(minutes=119))
    assert roll_up_hour() is False
    make_call(created_at=now - dt.timedelta(hours=4))
    assert roll_up_hour() is True
    assert roll_up_hour() is False
    state = RollUpState.objects.get()
    assert state.rolled_until == hour_of(now - dt.timedelta(hours=3))


def test_hours_without_a_call_cost_nothing() -> None:
    make_call(created_at=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    make_call(created_at=START)
    assert [roll_up_hour() for _ in range(3)] == [True, True, False]
    assert answer()["total_requests"] == 2


def test_an_hour_that_did_not_change_is_rolled_up_once(rolled_up: None) -> None:
    version = RollUpState.objects.get().version
    roll_up()
    assert RollUpState.objects.get().version == version


def test_again_repairs_what_was_changed_behind_the_service(rolled_up: None) -> None:
    CallRecord.objects.filter(door="chat").update(latency_ms=123_456)
    run("roll_up", "--again")
    assert_all_statistics_are_right(group_by="door")


def test_starting_again_deletes_every_roll_up(rolled_up: None) -> None:
    start_again()
    assert not HourlyCalls.objects.exists()
    assert not HourlyAttempts.objects.exists()
    assert_all_statistics_are_right(group_by="model")


# --- What changes afterwards -----------------------------------------------------------------------------------------


def write_late() -> None:
    call = CallRecord(
        request_id="req_from_the_spool",
        created_at=START + dt.timedelta(hours=4, minutes=10),
        door="stream",
        route="o3",
        model_requested="o3",
        model_used="o3",
        provider_used="openai",
        status="succeeded",
        latency_ms=98_765,
        cost_usd="0.5",
    )
    assert writer.write_again([rows_of(call)]) == [None]


def write_before_everything() -> None:
    call = CallRecord(
        request_id="req_before", created_at=START - dt.timedelta(days=2), door="chat", status="failed", latency_ms=7
    )
    assert writer.write([rows_of(call)]) == [None]


def end_a_long_call() -> None:
    call = CallRecord.objects.filter(status="in_progress").order_by("created_at")[0]
    Attempt.objects.filter(call=call).delete()
    ended = rows_of(call, announced=True, status="succeeded", model_used="o3", latency_ms=55_555, lease_until=None)
    assert writer.write([ended]) == [None]
    assert CallRecord.objects.get(id=call.id).latency_ms == 55_555


def interrupt() -> None:
    CallRecord.objects.filter(status="in_progress").update(lease_until=START)
    open_calls.renew_and_sweep([])
    assert not CallRecord.objects.filter(status="in_progress").exists()


def prune() -> None:
    age = (timezone.now() - START - dt.timedelta(hours=30)) // HOUR
    before = CallRecord.objects.count()
    run("prune_calls", "--older-than", f"{age}h")
    assert CallRecord.objects.count() < before


CHANGES = [write_late, write_before_everything, end_a_long_call, interrupt, prune]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("group_by", ["status", "hour"])
@pytest.mark.django_db(transaction=True)
def test_a_change_of_closed_hours_counts_at_once_and_after_they_are_rolled_up_again(
    rolled_up: None, change: Callable[[], None], group_by: str
) -> None:
    before = answer(group_by=group_by)
    change()
    assert LateHour.objects.exists()
    after = answer(since=START - dt.timedelta(days=9), group_by=group_by)
    assert after != before
    assert_all_statistics_are_right(since=START - dt.timedelta(days=9), group_by=group_by)
    roll_up()
    assert not LateHour.objects.exists()
    assert answer(since=START - dt.timedelta(days=9), group_by=group_by) == after
    # Everything is in the roll-ups now, and nothing is read from the calls.
    Attempt.objects.all().delete()
    CallRecord.objects.all().delete()
    assert answer(group_by=group_by) == after


def test_made_up_calls_of_closed_hours_count() -> None:
    make_call(created_at=timezone.now() - dt.timedelta(days=30))
    make_call(created_at=timezone.now() - dt.timedelta(hours=5))
    roll_up()
    run("make_calls", "--count", "50", "--days", "20")
    assert answer()["total_requests"] == 52


def test_a_change_of_the_content_alone_leaves_the_roll_ups_as_they_are(rolled_up: None) -> None:
    run("prune_calls", "--older-than", "0d", "--content-only")
    assert not LateHour.objects.exists()


def test_a_young_call_leaves_no_note() -> None:
    note_changes([timezone.now() - dt.timedelta(minutes=59), timezone.now() + dt.timedelta(days=1)])
    assert not LateHour.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_write_that_fails_leaves_no_note(rolled_up: None) -> None:
    call = CallRecord(request_id="req_bad", created_at=START, door="chat", status="failed", latency_ms=1)
    rows = rows_of(call)
    rows.attempts.append(rows.attempts[0])
    (error,) = writer.write_again([rows])
    assert error is not None
    assert not LateHour.objects.exists()
    assert_all_statistics_are_right(group_by="model")
