"""Rows go in without Django's own way of making them, and must come out as if they had gone that way."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, models

from chat.models import Attempt, CallContent, CallRecord
from chat.record.bulk_insert import Table

pytestmark = pytest.mark.django_db

WHEN = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
CALL: dict[str, Any] = {
    "request_id": "req_one",
    "created_at": WHEN,
    "door": "chat",
    "status": "succeeded",
    "route": "a|b>c",
    "model_requested": "a",
    "model_used": "b é 語 🙂",
    "streamed": True,
    "fallback_triggered": False,
    "latency_ms": 12,
    "cost_usd": Decimal("0.0000123400"),
    "prompt_tokens": 3,
    "metadata": {"team": "x", "nested": [1, None, "'; DROP TABLE chat_callrecord; --"]},
    "client_ip": "2001:db8::1",
    "lease_until": WHEN,
}


def figures(row: models.Model) -> dict[str, Any]:
    hidden = ("id", "request_id", "call_id")
    return {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.attname not in hidden
    }


@pytest.mark.parametrize("left_out", ["nothing", "all that has a default"])
def test_a_call_is_as_django_would_have_written_it(left_out: str) -> None:
    row = (
        CALL if left_out == "nothing" else {name: CALL[name] for name in ("request_id", "created_at", "door", "status")}
    )
    CallRecord.objects.create(**{**row, "request_id": "req_django"})
    ((call_id,),) = Table(CallRecord).insert([row], returning=("id",))
    ours, theirs = CallRecord.objects.get(pk=call_id), CallRecord.objects.get(request_id="req_django")
    assert ours.request_id == "req_one"
    assert figures(ours) == figures(theirs)


def test_parts_of_a_call_are_as_django_would_have_written_them() -> None:
    attempt: dict[str, Any] = {"ordinal": 0, "model": "a", "provider": "openai", "status": "failed", "raced": True}
    attempt |= {"started_after_ms": 4, "cost_usd": None}
    content = {"messages": [{"role": "user", "content": "hi"}], "parameters": {}, "content": "x", "answer": None}
    one, other = (CallRecord.objects.create(**{**CALL, "request_id": name}) for name in ("req_1", "req_2"))
    for model, values in ((Attempt, attempt), (CallContent, content)):
        model.objects.create(call=one, **values)
        Table(model).insert([{"call_id": other.pk, **values}])
        theirs, ours = (model.objects.get(call=call) for call in (one, other))
        assert figures(ours) == figures(theirs)


def test_many_rows_come_back_with_the_ids_they_were_given() -> None:
    rows = [{**CALL, "request_id": f"req_{number}"} for number in range(300)]
    given = Table(CallRecord).insert(rows, returning=("id", "request_id"))
    assert dict(given) == dict(CallRecord.objects.values_list("id", "request_id"))
    assert len(given) == 300


def test_more_values_than_a_statement_may_have_go_in_by_several(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr("chat.record.bulk_insert.MAX_VALUES", 3 * len(CallRecord._meta.concrete_fields))
    with django_assert_num_queries(3):
        Table(CallRecord).insert([{**CALL, "request_id": f"req_{number}"} for number in range(9)])
    assert CallRecord.objects.count() == 9


def test_a_row_takes_the_place_of_one_that_is_there_only_if_it_is_told_to() -> None:
    table = Table(CallRecord)
    ((before,),) = table.insert([{**CALL, "status": "in_progress"}], returning=("id",))
    ((after,),) = table.insert([{**CALL, "lease_until": None}], unique="request_id", returning=("id",))
    call = CallRecord.objects.get()
    assert (before, call.pk, call.status, call.lease_until) == (after, after, "succeeded", None)
    with pytest.raises(IntegrityError):
        table.insert([CALL])


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert Table(CallRecord).insert([], returning=("id",)) == []
