"""Which answers are given again, for how long, and to which requests: CACHE_TTL, `cache_ttl` and `x-cache-ttl`."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.chat.call.answer_cache.asking import HELLO, V1, ask

StartSite = Callable[..., httpx2.Client]


def test_nobody_gets_an_old_answer_who_did_not_ask_for_it(client: httpx2.Client, simulator: SimulatorThread) -> None:
    for _ in range(2):
        assert "x-cached" not in ask(client, cache_ttl=0).headers
        assert client.post("/chat", json={"prompt": "Hello"}).status_code == 200
        assert client.post(V1, json={"model": "gpt-4o", "messages": HELLO}).headers["x-cached"] == "false"
    assert len(simulator.requests()) == 6


@pytest.mark.parametrize("ttl", [-1, "60", True, None, 1e12])
def test_a_ttl_that_can_be_none_is_a_400_that_names_the_field(client: httpx2.Client, ttl: Any) -> None:
    response = client.post("/chat", json={"prompt": "a", "cache_ttl": ttl})
    assert response.status_code == 400
    assert "cache_ttl" in response.json()["error"]["message"]


@pytest.mark.parametrize("ttl", ["-1", "soon", "nan", "inf", ""])
def test_a_header_that_can_be_no_ttl_is_a_400_that_names_it(
    client: httpx2.Client, simulator: SimulatorThread, ttl: str
) -> None:
    response = client.post(V1, json={"model": "gpt-4o", "messages": HELLO}, headers={"x-cache-ttl": ttl})
    assert response.status_code == 400, response.text
    assert "x-cache-ttl" in response.json()["error"]["message"]
    assert simulator.requests() == []


def test_the_same_request_again_gets_the_same_answer_at_no_cost_and_is_on_record(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    first, second = ask(client), ask(client)
    assert len(simulator.requests()) == 1
    assert "x-cached" not in first.headers
    assert second.headers["x-cached"] == "true"
    before, after = first.json(), second.json()
    for name in ("content", "model_used", "provider_used", "finish_reason", "usage"):
        assert after[name] == before[name]
    assert (after["cost_usd"], after["attempts"]) == (0, [])
    assert before["cost_usd"] > 0
    call = CallRecord.objects.get(request_id=after["request_id"])
    assert (call.cached, call.cost_usd, call.status, call.attempts.count()) == (True, Decimal(0), "succeeded", 0)
    assert client.get(f"/calls/{call.request_id}").json()["cached"] is True
    stats = client.get("/stats").json()
    assert (stats["total_requests"], stats["cost_unknown_requests"]) == (2, 0)
    assert stats["total_cost_usd"] == before["cost_usd"]


def test_the_setting_counts_where_a_request_says_nothing_and_0_turns_it_off(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(CACHE_TTL=60.0, REDIS_URL="")
    body = {"prompt": "Hello"}
    cached = ["x-cached" in client.post("/chat", json=body | extra).headers for extra in ({}, {}, {"cache_ttl": 0})]
    assert cached == [False, True, False]
    assert len(simulator.requests()) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "hello"},
        {"model": "gpt-4o-mini"},
        {"model": "gpt-4o>gpt-4o-mini"},
        {"temperature": 0.1},
        {"seed": 0},
        {"stop": ["a"]},
        {"user": "b"},
    ],
    ids=str,
)
def test_any_other_request_asks_a_model(client: httpx2.Client, other: dict[str, Any]) -> None:
    ask(client)
    assert "x-cached" not in ask(client, **other).headers


def test_how_a_request_is_written_does_not_matter_only_what_it_asks(start_site: StartSite) -> None:
    client = start_site(ROUTES={"fast": "gpt-4o"}, REDIS_URL="")
    ask(client, model="gpt-4o", seed=1, temperature=1)
    assert ask(client, temperature=1.0, seed=1, model="fast").headers["x-cached"] == "true"
    assert ask(client, model="openai/gpt-4o", seed=1, temperature=1, timeout=9).headers["x-cached"] == "true"
    body = {"messages": HELLO, "temperature": 1.0, "seed": 1, "model": "gpt-4o", "x-cache-ttl": 5}
    assert client.post(V1, json=body).headers["x-cached"] == "true"


@pytest.mark.parametrize(
    ("path", "behaviour", "fields"),
    [
        ("/chat", Behaviour(status=401, times=1), {}),
        ("/chat", Behaviour(status=401, times=1), {"default_message": "Sorry."}),
        ("/chat/stream", Behaviour(status=401, times=1), {"default_message": "Sorry."}),
        ("/chat/stream", Behaviour(cut_after=2, times=1), {}),
        ("/chat/stream", Behaviour(error_after=2, times=1), {}),
    ],
    ids=["failure", "default message", "streamed default message", "cut stream", "error in a stream"],
)
def test_what_is_no_good_answer_is_not_kept(
    client: httpx2.Client, simulator: SimulatorThread, path: str, behaviour: Behaviour, fields: dict[str, Any]
) -> None:
    simulator.script("gpt-4o", behaviour)
    client.post(path, json={"prompt": "Hello", "cache_ttl": 60, **fields})
    assert "x-cached" not in ask(client, **fields).headers
    assert ask(client, **fields).headers["x-cached"] == "true"


def test_an_answer_is_given_again_no_longer_than_its_ttl(client: httpx2.Client) -> None:
    ask(client, cache_ttl=0.5)
    assert "x-cached" in ask(client, cache_ttl=0.5).headers
    time.sleep(0.6)
    assert "x-cached" not in ask(client, cache_ttl=0.5).headers
