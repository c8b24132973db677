"""GET /stats as a caller sees it: the query, the errors, and the form of the answer."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from stats.serializers import StatsSerializer
from tests.support.history import (
    START,
    all_calls,
    close_to,
    expected_groups,
    expected_statistics,
    make_call,
    make_random_history,
)

pytestmark = [pytest.mark.urls("stats.urls"), pytest.mark.django_db(transaction=True)]


async def make(**columns: Any) -> None:
    await sync_to_async(make_call)(**columns)


async def get(query: str = "", expected_status: int = 200, **parameters: str) -> Any:
    response = await AsyncClient().get(f"/stats?{query or urlencode(parameters)}")
    assert response.status_code == expected_status, response.content
    return response.json()


async def refusal(query: str) -> dict[str, list[str]]:
    """The fields that the query is refused for, and the reasons."""
    error = (await get(query, 400))["error"]
    assert error["code"] == "invalid_request"
    fields: dict[str, list[str]] = error["details"]["fields"]
    return fields


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ("modle=gpt-4o", "modle", "Unknown parameter. Known are: since, until, model,"),
        ("door=window", "door", "Must be one of chat, parallel, fallback, stream, openai."),
        ("door=", "door", "Must be one of chat"),
        ("status=ok", "status", "Must be one of succeeded, defaulted, failed, cancelled, in_progress, interrupted."),
        ("group_by=week", "group_by", "Must be one of model, provider, door, status, api_key, hour, day."),
        ("group_by=", "group_by", "Must be one of model"),
        ("group_by=door,model", "group_by", "Must be one of model"),
        ("model=", "model", "may not be blank"),
        ("model=%00", "model", "Null characters"),
        ("model=" + "x" * 201, "model", "no more than 200"),
        ("api_key=" + "x" * 201, "api_key", "no more than 200"),
        ("door=chat&door=stream", "door", "Must be given once."),
        ("since=2026-11-21&until=2026-11-20", "until", "Must not be before `since`."),
        *((f"since={moment}", "since", "Must be a date or a date-time") for moment in (
            "", "yesterday", "2026-13-01", "2026-02-30", "2026-11-20T25:00", "1763632800", "20 26-11-20",
            "0001-01-01T00:00%2B14:00", "9999-12-31T23:59-14:00", "2026-11-20T10:00Zulu", "%00", "2026-11-20 ab",
        )),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_with_the_field_and_the_reason(query: str, field: str, reason: str) -> None:
    fields = await refusal(query)
    assert list(fields) == [field]
    assert reason in fields[field][0]


async def test_every_unknown_parameter_is_named() -> None:
    assert set(await refusal("a=1&b=2&door=chat")) == {"a", "b"}


async def test_only_get_is_allowed() -> None:
    assert (await AsyncClient().post("/stats", {}, content_type="application/json")).status_code == 405


async def test_an_empty_history_is_answered() -> None:
    found = await get()
    assert found["total_requests"] == 0
    assert found["average_latency_ms"] is None
    assert set(found) == set(StatsSerializer().fields)


async def test_statistics_and_groups_come_as_json_numbers() -> None:
    await sync_to_async(make_random_history)(40)
    calls = await sync_to_async(all_calls)()
    found = await get(group_by="door")
    statistics, groups = await sync_to_async(lambda: (expected_statistics(calls), expected_groups(calls, "door")))()
    assert found == close_to({**statistics, "groups": groups, "groups_truncated": False})
    assert set(found["groups"][0]) <= set(StatsSerializer().fields["groups"].child.fields)  # type: ignore[attr-defined]


MOMENTS = [
    "2026-11-20T22:30:00Z",
    "2026-11-20T22:30:00+00:00",
    "2026-11-20T22:30",
    "2026-11-20 22:30",
    "2026-11-21T00:30:00+02:00",
    "2026-11-21 00:30:00+02:00",
    "2026-11-21T00:30:00.000+0200",
    "2026-11-20T17:30-05:00",
]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "plus as it is"])
async def test_a_moment_is_read_with_its_offset_or_as_utc(moment: str, escaped: bool) -> None:
    await make(created_at=START)
    await make(created_at=START - dt.timedelta(microseconds=1))
    query = urlencode({"since": moment}) if escaped else f"since={moment.replace(' ', '%20')}"
    assert (await get(query))["total_requests"] == 1
    assert (await get(query.replace("since", "until")))["total_requests"] == 1


async def test_a_date_is_its_first_moment_in_utc() -> None:
    await make(created_at=dt.datetime(2026, 11, 20, tzinfo=dt.UTC))
    await make(created_at=dt.datetime(2026, 11, 19, 23, 59, 59, 999999, tzinfo=dt.UTC))
    assert (await get(since="2026-11-20"))["total_requests"] == 1
    assert (await get(until="2026-11-20"))["total_requests"] == 1


async def test_the_key_of_a_period_can_be_asked_for_again() -> None:
    await make(created_at=START)
    (hour,) = (await get(group_by="hour"))["groups"]
    assert hour["hour"] == hour["key"] == "2026-11-20T22:00:00Z"
    assert (await get(since=hour["key"]))["total_requests"] == 1


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"model": "o3"}, 1),
        ({"door": "stream"}, 1),
        ({"status": "failed"}, 1),
        ({"api_key": "team a"}, 1),
        ({"api_key": ""}, 2),
        ({"status": "succeeded", "door": "chat"}, 1),
    ],
)
async def test_a_filter_narrows(filters: dict[str, str], count: int) -> None:
    await make(model_used="", model_requested="o3", status="failed")
    await make(door="stream")
    await make(api_key="team a")
    assert (await get(**filters))["total_requests"] == count
