"""The numbers of the bill in GET /calls and GET /calls/{request_id}, and the filters for them."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.chat.history.rows import found, keep

BILL: dict[str, Any] = {
    "cached_tokens": 1,
    "reasoning_tokens": 2,
    "cache_write_tokens": 3,
    "audio_prompt_tokens": 4,
    "audio_completion_tokens": 5,
    "web_searches": 6,
    "file_searches": 7,
    "service_tier": "flex",
    "usage_estimated": True,
    "cost_usd": 0.25,
    "cost_incomplete": True,
    "original_cost_usd": 0.125,
}


def test_every_number_of_the_bill_is_shown_of_a_call_and_of_its_attempts(client: httpx2.Client) -> None:
    of_call = {**BILL, "cost_estimated": True, "charged_usd": 0.5}
    of_attempt = {**BILL, "cost_stated": True, "answered_model": "other", "other_usage": {"image_prompt_tokens": 9}}
    call = keep("dear", **of_call)
    Attempt.objects.create(
        call=call, ordinal=0, model="m", provider="openai", status="succeeded", started_after_ms=0, **of_attempt
    )
    (listed,) = client.get("/calls").json()["results"]
    shown = client.get("/calls/dear").json()
    for answer in (listed, shown):
        assert {name: answer[name] for name in of_call} == of_call
    assert {name: shown["attempts"][0][name] for name in of_attempt} == of_attempt


def test_no_column_of_a_call_or_an_attempt_is_forgotten(client: httpx2.Client) -> None:
    call = keep("one")
    Attempt.objects.create(call=call, ordinal=0, model="m", provider="p", status="succeeded", started_after_ms=0)
    shown = client.get("/calls/one").json()
    columns = {field.name for field in CallRecord._meta.concrete_fields} - {"id", "lease_until"}
    assert columns <= set(shown)
    assert {field.name for field in Attempt._meta.concrete_fields} - {"id", "call"} == set(shown["attempts"][0])


def test_what_a_loser_may_have_cost_makes_the_cost_of_the_call_a_guess(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    """The tokens of the call are those of the winner, and exact. A model without a price makes its cost incomplete."""
    simulator.script("gpt-4o", Behaviour(latency_s=5))
    simulator.script("no-price", Behaviour(latency_s=5))
    fields: dict[str, Any] = {"prompt": "Hello", "models": ["gpt-4o", "no-price", "gpt-4o-mini"]}
    answer = client.post("/chat/parallel", json=fields).json()
    assert answer["usage"]["estimated"] is False
    assert (answer["cost_estimated"], answer["cost_incomplete"]) == (True, True)
    marks = {each["model"]: (each["cost_estimated"], each["cost_usd"] is None) for each in answer["attempts"]}
    assert marks == {"gpt-4o": (True, False), "no-price": (True, True), "gpt-4o-mini": (False, False)}
    shown = client.get(f"/calls/{answer['request_id']}").json()
    assert (shown["usage_estimated"], shown["cost_estimated"], shown["cost_incomplete"]) == (False, True, True)
    assert shown["cost_usd"] == pytest.approx(sum(each["cost_usd"] or 0 for each in answer["attempts"]))
    found_here = client.get("/calls", params={"cost_estimated": "true", "cost_incomplete": "true"}).json()["results"]
    assert [call["request_id"] for call in found_here] == [answer["request_id"]]
    stats = client.get("/stats").json()
    assert (stats["cost_estimated_requests"], stats["cost_incomplete_requests"]) == (1, 1)
    assert stats["cost_unknown_requests"] == 0


def test_a_service_tier_and_the_marks_of_a_cost_filter(client: httpx2.Client) -> None:
    keep("plain")
    keep("flex", service_tier="flex")
    keep("guess", cost_estimated=True)
    keep("old-guess", usage_estimated=True)  # as the version before wrote it
    keep("free", usage_estimated=True, cached=True)
    keep("part", cost_incomplete=True, service_tier="flex")
    assert found(client, service_tier="flex") == {"flex", "part"}
    assert found(client, service_tier="") == {"plain", "guess", "old-guess", "free"}
    assert found(client, service_tier="FLEX") == set()
    assert found(client, cost_estimated="true") == {"guess", "old-guess"}
    assert found(client, cost_estimated="false") == {"plain", "flex", "free", "part"}
    assert found(client, cost_incomplete="1") == {"part"}
    assert found(client, cost_incomplete="false", service_tier="flex") == {"flex"}
    estimated = {call["request_id"]: call["cost_estimated"] for call in client.get("/calls").json()["results"]}
    assert {name for name, mark in estimated.items() if mark} == {"guess", "old-guess"}
