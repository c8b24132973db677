"""manage.py prune_calls and make_calls"""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.models import Attempt, CallContent, CallRecord, IdempotencyKey
from chat.request_ids import new_request_id
from chat.token_counts import TOKEN_COLUMNS


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output, verbosity=0)
    return output.getvalue()


@pytest.fixture
def history(db: None) -> None:
    run("make_calls", "--count", "60", "--days", "60", "--content", "--seed", "1")


@pytest.mark.parametrize("age", ["30", "d", "30m", "-1d", "1.5d", ""])
def test_an_age_that_is_none_is_refused_with_the_reason(db: None, age: str) -> None:
    with pytest.raises(CommandError, match="is no age"):
        run("prune_calls", f"--older-than={age}")


@pytest.mark.parametrize("age", ["36501d", "999999d", "999999w"])
def test_an_age_beyond_any_call_is_refused_with_the_reason(db: None, age: str) -> None:
    with pytest.raises(CommandError, match="is too long"):
        run("prune_calls", f"--older-than={age}")


@pytest.mark.parametrize(
    "arguments",
    [
        ("prune_calls", "--older-than=1d", "--batch-size=-1"),
        ("prune_calls", "--older-than=1d", "--batch-size=0"),
        ("make_calls", "--count=-5"),
        ("make_calls", "--count=many"),
        ("make_calls", "--days=0"),
        ("make_calls", "--days=999999999"),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_the_reason(db: None, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="is no whole number from"):
        run(*arguments)


def test_made_up_calls_have_a_bill_that_adds_up(db: None) -> None:
    run("make_calls", "--count", "300", "--seed", "2")
    calls = list(CallRecord.objects.prefetch_related("attempts"))
    for name in (*TOKEN_COLUMNS, "service_tier", "cost_incomplete", "cost_estimated"):
        assert any(getattr(call, name) for call in calls), name
    for call in calls:
        attempts = call.attempts.all()
        assert call.cost_usd == sum(attempt.cost_usd or 0 for attempt in attempts)
        assert call.cost_estimated == any(attempt.cost_is_guessed for attempt in attempts)
        assert call.cost_incomplete == any(attempt.cost_incomplete for attempt in attempts)
        prompt, parts = call.prompt_tokens or 0, ("cached_tokens", "cache_write_tokens", "audio_prompt_tokens")
        assert sum(getattr(call, name) or 0 for name in parts) <= prompt
        said = (call.reasoning_tokens or 0) + (call.audio_completion_tokens or 0)
        assert said <= (call.completion_tokens or 0)


def test_prune_deletes_old_calls_with_all_that_belongs_to_them(history: None) -> None:
    limit = timezone.now() - timedelta(days=30)
    young = set(CallRecord.objects.filter(created_at__gte=limit).values_list("id", flat=True))
    assert 0 < len(young) < 60
    printed = run("prune_calls", "--older-than", "30d", "--batch-size", "7")
    assert set(CallRecord.objects.values_list("id", flat=True)) == young
    assert set(CallContent.objects.values_list("call_id", flat=True)) == young
    assert set(Attempt.objects.values_list("call_id", flat=True)) == young
    assert printed.splitlines()[0].endswith(f": {60 - len(young)}")


def test_prune_content_only_keeps_every_figure(history: None) -> None:
    attempts = Attempt.objects.count()
    run("prune_calls", "--older-than", "0d", "--content-only")
    assert CallContent.objects.count() == 0
    assert (CallRecord.objects.count(), Attempt.objects.count()) == (60, attempts)


def test_prune_content_only_looks_at_no_call_that_it_has_pruned(history: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        run("prune_calls", "--older-than", "0d", "--content-only", "--batch-size", "7")
    searches = [query["sql"] for query in queries if "LIMIT 7" in query["sql"]]
    moments = list(CallRecord.objects.order_by("created_at").values_list("created_at", flat=True))
    assert CallContent.objects.count() == 0
    assert len(searches) == 10
    assert all(f"{last:%H:%M:%S.%f}" in search for last, search in zip(moments[6::7], searches[1:], strict=False))


def test_calls_of_one_moment_are_all_pruned(history: None) -> None:
    CallRecord.objects.update(created_at=timezone.now() - timedelta(days=50))
    assert ": 60\n" in run("prune_calls", "--older-than", "30d", "--content-only", "--batch-size", "7")
    assert CallContent.objects.count() == 0


def test_a_dry_run_says_how_many_and_deletes_none(history: None) -> None:
    old = CallRecord.objects.filter(created_at__lt=timezone.now() - timedelta(weeks=4)).count()
    assert f": {old}" in run("prune_calls", "--older-than", "4w", "--dry-run")
    assert CallRecord.objects.count() == 60


def test_prune_leaves_calls_in_progress_alone(db: None) -> None:
    CallRecord.objects.create(
        request_id="req_running", door="chat", status="in_progress", created_at=timezone.now() - timedelta(days=90)
    )
    run("prune_calls", "--older-than", "1d")
    assert CallRecord.objects.count() == 1


@pytest.fixture
def keys(db: None) -> None:
    for hours in (0, 23, 25, 26, 90):
        IdempotencyKey.objects.create(key=str(hours), created_at=timezone.now() - timedelta(hours=hours))


@pytest.mark.parametrize("option", [(), ("--content-only",)])
def test_prune_deletes_idempotency_keys_after_24_hours_whatever_the_age_and_says_how_many(
    keys: None, option: tuple[str, ...]
) -> None:
    printed = run("prune_calls", "--older-than", "30d", *option)
    assert printed.splitlines()[1:] == ["Deleted idempotency keys that are too old to be used: 3"]
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"0", "23"}


def test_more_old_keys_than_one_batch_are_all_deleted(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.doors.idempotency.DELETED_AT_ONCE", 2)
    old = timezone.now() - timedelta(days=2)
    IdempotencyKey.objects.bulk_create(IdempotencyKey(key=str(number), created_at=old) for number in range(5))
    assert "be used: 5\n" in run("prune_calls", "--older-than", "30d")
    assert IdempotencyKey.objects.count() == 0


def test_a_dry_run_deletes_no_idempotency_key_and_says_how_many_it_would(keys: None) -> None:
    printed = run("prune_calls", "--older-than", "30d", "--dry-run")
    assert printed.splitlines()[1:] == ["Would delete idempotency keys that are too old to be used: 3"]
    assert IdempotencyKey.objects.count() == 5


def test_make_calls_makes_that_many_with_attempts_and_says_so(history: None) -> None:
    assert CallRecord.objects.count() == CallContent.objects.count() == 60
    assert not CallRecord.objects.filter(attempts__isnull=True).exists()
    assert set(CallRecord.objects.values_list("metadata__made_up", flat=True)) == {"yes"}


def test_the_id_of_a_made_up_call_begins_with_its_time(history: None) -> None:
    for call in CallRecord.objects.all():
        assert re.fullmatch("req_[0-9a-f]{32}", call.request_id)
        began = int(call.request_id.removeprefix("req_")[:12], 16) / 1000
        assert began == pytest.approx(call.created_at.timestamp(), abs=0.002)


def test_a_made_up_call_may_be_older_than_1970() -> None:
    assert re.fullmatch("req_0{12}[0-9a-f]{20}", new_request_id(-1))
