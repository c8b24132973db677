"""The filters of GET /calls."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx2
import pytest

from tests.chat.history.rows import NOON, found, keep


def test_status_door_and_model_filter(client: httpx2.Client) -> None:
    keep("good")
    keep("failed", status="failed", model_used="", model_requested="gpt-4o")
    keep("fell-back", door="fallback", model_used="gpt-4o-mini", model_requested="gpt-4o")
    keep("streamed", door="stream", status="cancelled", model_used="gpt-4.1")
    assert found(client) == {"good", "failed", "fell-back", "streamed"}
    assert found(client, status="failed") == {"failed"}
    assert found(client, door="fallback") == {"fell-back"}
    assert found(client, model="gpt-4o-mini") == {"fell-back"}
    assert found(client, model="gpt-4o") == {"good", "failed"}  # one that answered nothing counts for what was asked
    assert found(client, model="gpt") == set()
    assert found(client, status="cancelled", door="stream", model="gpt-4.1") == {"streamed"}
    assert found(client, status="cancelled", door="chat") == set()


def test_since_is_inclusive_and_until_is_not(client: httpx2.Client) -> None:
    keep("eleven", created_at=NOON - timedelta(hours=1))
    keep("noon", created_at=NOON)
    keep("one", created_at=NOON + timedelta(hours=1))
    keep("tomorrow", created_at=NOON + timedelta(days=1))
    assert found(client, since="2026-11-24T12:00:00Z") == {"noon", "one", "tomorrow"}
    assert found(client, until="2026-11-24T12:00:00Z") == {"eleven"}
    assert found(client, since="2026-11-24T12:00:00Z", until="2026-11-24T13:00:00Z") == {"noon"}
    assert found(client, since="2026-11-25") == {"tomorrow"}
    assert found(client, until="2026-11-25") == {"eleven", "noon", "one"}
    assert found(client, since="2026-11-24T12:00:00") == {"noon", "one", "tomorrow"}  # UTC where nothing is said
    assert found(client, since="2026-11-24 12:00:00") == {"noon", "one", "tomorrow"}
    assert found(client, since="2026-11-24T14:00:00+02:00") == {"noon", "one", "tomorrow"}
    assert found(client, since="2026-11-24T12:00:00.000001Z") == {"one", "tomorrow"}
    # A server reads the plus sign of an offset as a space, if the client has not escaped it.
    response = client.get("/calls?since=2026-11-24T14:00:00+02:00")
    assert {call["request_id"] for call in response.json()["results"]} == {"noon", "one", "tomorrow"}


def test_metadata_filters_in_each_of_its_notations(client: httpx2.Client) -> None:
    keep("both", metadata={"team": "a", "env": "test"})
    keep("team-only", metadata={"team": "a"})
    keep("other", metadata={"team": "b", "env": "test"})
    keep("none", metadata={})
    assert found(client, metadata="team:a") == {"both", "team-only"}
    assert found(client, **{"metadata[team]": "a"}) == {"both", "team-only"}
    assert found(client, metadata=json.dumps({"team": "a"})) == {"both", "team-only"}
    assert found(client, **{"metadata[team]": "a", "metadata[env]": "test"}) == {"both"}
    assert found(client, metadata=json.dumps({"team": "a", "env": "test"})) == {"both"}
    assert found(client, **{"metadata": "env:test", "metadata[team]": "b"}) == {"other"}
    assert found(client, metadata="team:c") == set()
    assert found(client, metadata="nobody:a") == set()
    assert found(client, metadata="{}") == {"both", "team-only", "other", "none"}


def test_metadata_may_hold_anything(client: httpx2.Client) -> None:
    pairs = {
        "with:colon": "a",
        "double__under": "b",
        "team__icontains": "c",
        "dot.ted": "d",
        "ü 漢": "é😀",
        "it's": "'; DROP TABLE chat_callrecord; --",
        "percent %s": "%",
        "number": "5",
        "boolean": "true",
        "nothing": "null",
        "colon": "a:b:c",
        "empty": "",
        "spaced": " x ",
    }
    keep("all", metadata=pairs)
    keep("none", metadata={})
    for key, value in pairs.items():
        assert found(client, **{f"metadata[{key}]": value}) == {"all"}, key
        assert found(client, metadata=json.dumps({key: value})) == {"all"}, key
        assert found(client, **{f"metadata[{key}]": f"{value}?"}) == set(), key


@pytest.mark.parametrize("key", ["0", "42", "-1"])
def test_a_metadata_key_may_be_a_number(client: httpx2.Client, key: str) -> None:
    keep("numbered", metadata={key: "a"})
    assert found(client, **{f"metadata[{key}]": "a"}) == {"numbered"}


@pytest.mark.parametrize("key", ['quo"ted', "back\\slash"])
def test_a_metadata_key_may_have_quotes_and_backslashes(client: httpx2.Client, key: str) -> None:
    keep("quoted", metadata={key: "a"})
    assert found(client, **{f"metadata[{key}]": "a"}) == {"quoted"}


def test_a_filter_that_is_given_twice_is_not_forgotten(client: httpx2.Client) -> None:
    keep("both", metadata={"team": "a", "env": "test"})
    keep("env-only", metadata={"env": "test"})
    response = client.get("/calls", params=[("metadata", "team:a"), ("metadata", "env:test")])
    assert response.status_code == 400 or [c["request_id"] for c in response.json()["results"]] == ["both"]
