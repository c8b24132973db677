"""A row is only ever replaced by the call that made it, whatever X-Request-ID other callers choose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chat.models import CallContent, CallRecord
from chat.record.call_rows import CallRows
from chat.record.content import Content
from chat.record.writer import write, write_again

BEGAN = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
LATER = datetime(2026, 2, 3, 5, 0, 0, tzinfo=UTC)


def rows(
    api_key: str, began: datetime = BEGAN, *, status: str = "succeeded", request_id: str = "chosen-1", **fields: Any
) -> CallRows:
    call = {"request_id": request_id, "created_at": began, "door": "chat", "status": status, "route": "m"}
    return CallRows({**call, "api_key": api_key}, attempts=[], content=Content(content=api_key), **fields)


def kept() -> dict[str, tuple[str, str, str]]:
    found = CallRecord.objects.values_list("request_id", "api_key", "status", "body__content")
    return {request_id: (api_key, status, content) for request_id, api_key, status, content in found}


@pytest.mark.django_db
@pytest.mark.parametrize("how", [write, write_again])
@pytest.mark.parametrize("began", [BEGAN, LATER], ids=["same moment", "later"])
@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("status", ["succeeded", "in_progress", "interrupted"])
def test_another_key_s_row_stays_as_it_was(how: Any, began: datetime, announced: bool, status: str) -> None:
    assert write([rows("victim", status=status)]) == [None]
    taken = rows("other", began, announced=announced)
    assert how([taken]) == [None]
    assert taken.request_id.startswith("chosen-1-")
    assert kept() == {
        "chosen-1": ("victim", status, "victim"),
        taken.request_id: ("other", "succeeded", "other"),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("how", [write, write_again])
def test_a_late_end_with_the_same_id_and_moment_leaves_another_key_s_row_alone(how: Any) -> None:
    assert write([rows("victim")]) == [None]
    assert how([rows("other", amends=True)]) == [None]
    assert kept()["chosen-1"] == ("victim", "succeeded", "victim")
    assert CallRecord.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("how", [write, write_again])
def test_the_end_of_a_call_takes_the_place_of_its_own_start(how: Any) -> None:
    assert write([rows("mine", status="in_progress")]) == [None]
    assert how([rows("mine", announced=True)]) == [None]
    assert kept() == {"chosen-1": ("mine", "succeeded", "mine")}


@pytest.mark.django_db
def test_a_start_that_is_replayed_after_its_end_got_a_suffix_makes_no_second_row() -> None:
    assert write([rows("victim")]) == [None]
    assert write([rows("mine", LATER, announced=True)]) == [None]
    assert write_again([rows("mine", LATER, status="in_progress")]) == [None]
    assert sorted(status for _, status, _ in kept().values()) == ["succeeded", "succeeded"]


@pytest.mark.django_db
def test_one_taken_id_in_a_batch_costs_no_other_call_its_row() -> None:
    assert write([rows("victim")]) == [None]
    batch = [rows("other", announced=True), rows("more", request_id="chosen-2", announced=True)]
    assert write(batch) == [None, None]
    assert {api_key for api_key, _, _ in kept().values()} == {"victim", "other", "more"}
    assert CallContent.objects.count() == 3
