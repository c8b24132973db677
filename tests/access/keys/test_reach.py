"""What a key may do, and which calls it sees."""

from __future__ import annotations

import httpx2

from chat.models import CallRecord
from tests.access.conftest import MakeKey
from tests.access.keys.asking import ORDER, refusal


def test_a_scope_or_a_model_that_is_refused_is_a_403_that_names_it(client: httpx2.Client, make_key: MakeKey) -> None:
    reader = make_key("reader", scopes=["read_all"])
    assert refusal(client.post("/chat", json=ORDER, headers=reader)) == (
        403,
        "permission_denied",
        "The API key 'reader' lacks the scope 'chat'.",
    )
    minis = make_key("minis", allowed_models="*-mini\nfast")
    for model, refused in (
        ("gpt-4o-mini", ""),
        ("fast", ""),
        ("gpt-4o", ""),  # a named route stands for its models
        ("openai/gpt-4o-mini>gpt-4o", ""),
        ("slow", "o3"),
        ("gpt-4o-mini|o1", "o1"),
        ("gpt-4o-mini>fast>o1", "o1"),
        ("GPT-4O-MINI", "GPT-4O-MINI"),
    ):
        answer = client.post("/chat", json={"prompt": "a", "model": model}, headers=minis)
        if refused:
            assert refusal(answer)[0] == 403, model
            assert f"'{refused}'" in refusal(answer)[2]
        else:
            assert answer.status_code == 200, (model, answer.text)
    for door in ("/chat/stream", "/chat/fallback", "/chat/parallel"):
        assert client.post(door, json={"prompt": "a", "model": "o1"}, headers=minis).status_code == 403
    assert not CallRecord.objects.filter(model_requested="o1").exists()


def test_a_key_sees_its_own_calls_and_statistics_only(client: httpx2.Client, make_key: MakeKey) -> None:
    mine, other = make_key("mine"), make_key("other")
    of_mine = client.post("/chat", json=ORDER, headers=mine).json()["request_id"]
    of_other = client.post("/chat", json=ORDER, headers=other).json()["request_id"]
    client.post("/chat", json=ORDER, headers=other)

    assert [call["request_id"] for call in client.get("/calls", headers=mine).json()["results"]] == [of_mine]
    assert client.get(f"/calls/{of_mine}", headers=mine).status_code == 200
    hidden, absent = (client.get(f"/calls/{name}", headers=mine) for name in (of_other, "req_none"))
    assert refusal(hidden)[:2] == refusal(absent)[:2] == (404, "not_found")
    assert client.get("/stats", headers=mine).json()["total_requests"] == 1
    assert client.get("/stats?api_key=mine", headers=mine).json()["total_requests"] == 1
    groups = client.get("/stats?group_by=api_key", headers=mine).json()["groups"]
    assert [group["key"] for group in groups] == ["mine"]
    for name in ("other", "nobody", ""):
        assert "'read_all'" in refusal(client.get("/stats", params={"api_key": name}, headers=mine))[2]

    for scope in ("read_all", "admin"):
        auditor = make_key(scope, scopes=[scope])
        assert len(client.get("/calls", headers=auditor).json()["results"]) == 3
        assert client.get(f"/calls/{of_other}", headers=auditor).status_code == 200
        assert client.get("/stats?api_key=other", headers=auditor).json()["total_requests"] == 2


def test_a_page_link_of_another_key_leads_to_nothing_of_it(client: httpx2.Client, make_key: MakeKey) -> None:
    mine, other = make_key("mine"), make_key("other")
    for headers in (mine, other, mine, other):
        client.post("/chat", json=ORDER, headers=headers)
    link = client.get("/calls?page_size=1", headers=other).json()["next"]
    assert {call["api_key"] for call in client.get(link, headers=mine).json()["results"]} <= {"mine"}
