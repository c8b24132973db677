"""POST /chat/parallel"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread

StartSite = Callable[..., httpx2.Client]
SLOW = Behaviour(tokens_per_second=10, answer="one two three four five six seven " * 20)


def race(client: httpx2.Client, *models: str, **fields: Any) -> httpx2.Response:
    return client.post("/chat/parallel", json={"prompt": "Hello", "models": list(models), **fields})


def request_of(simulator: SimulatorThread, model: str, *, ended: str, within: float = 3.0) -> dict[str, Any]:
    """What the simulator saw of the only request for this model, once it has ended in this way."""
    deadline = time.monotonic() + within
    while True:
        (seen,) = (request for request in simulator.requests() if request["model"] == model)
        if seen["ended"] == ended:
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.005)


def test_bad_input_is_a_400_that_names_the_field(client: httpx2.Client, simulator: SimulatorThread) -> None:
    for body, field in (
        ({"models": ["gpt-4o"]}, "models"),
        ({"models": []}, "models"),
        ({"models": ["m"] * 9}, "models"),
        ({"models": "gpt-4o"}, "models"),
        ({"models": ["gpt-4o", 5]}, "models.1"),
        ({"models": ["gpt-4o", ""]}, "models.1"),
        ({"models": ["gpt-4o", "a|b"]}, "models.1"),
        ({"models": ["a>b", "gpt-4o"]}, "models.0"),
        ({"models": ["gpt-4o", "gpt-4o-mini"], "model": "gpt-4o"}, "models"),
        ({"model": "a||b"}, "model"),
        ({"models": ["a", "b"], "hedge_after": -1}, "hedge_after"),
        ({"models": ["a", "b"], "hedge_after": "1"}, "hedge_after"),
    ):
        response = client.post("/chat/parallel", json={"prompt": "a", **body})
        assert response.status_code == 400, body
        assert field in response.json()["error"]["details"]["fields"], response.text
    assert simulator.requests() == []
    assert CallRecord.objects.count() == 0


@pytest.mark.parametrize(
    "failing",
    ["sim-400", "sim-401", "sim-404", "sim-429", "sim-500", "sim-html", "sim-empty", "sim-error-in-200", "sim-cut"],
)
def test_a_racer_that_fails_never_ends_the_race(
    client: httpx2.Client, simulator: SimulatorThread, failing: str
) -> None:
    simulator.script("steady", Behaviour(first_token_s=0.1, answer="steady"))
    answer = race(client, failing, "steady").json()
    assert (answer["content"], answer["model_used"]) == ("steady", "steady")
    assert [a["status"] for a in answer["attempts"]] == ["failed", "succeeded"]
    assert answer["fallback_triggered"] is False


def test_a_racer_that_breaks_off_loses_to_a_later_whole_answer(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    """The first complete answer wins the race for a whole answer, not the first token."""
    simulator.script("eager", Behaviour(end_after=2))
    simulator.script("steady", Behaviour(first_token_s=0.2, answer="steady"))
    answer = race(client, "eager", "steady").json()
    assert answer["model_used"] == "steady"
    assert [a["error_code"] for a in answer["attempts"]] == ["stream_interrupted", None]


def test_when_all_fail_every_cause_is_in_the_error_and_in_the_rows(start_site: StartSite) -> None:
    client = start_site(MAX_RETRIES=0)
    response = race(client, "sim-401", "sim-500", "sim-html")
    error = response.json()["error"]
    assert response.status_code == 502
    codes = {a["model"]: (a["status"], a["error_code"], a["http_status"]) for a in error["details"]["attempts"]}
    assert codes == {
        "sim-401": ("failed", "upstream_auth_failed", 401),
        "sim-500": ("failed", "upstream_failed", 500),
        "sim-html": ("failed", "invalid_upstream_response", 200),
    }
    assert all(attempt["message"] for attempt in error["details"]["attempts"])
    call = CallRecord.objects.get(request_id=error["request_id"])
    assert (call.door, call.status, call.http_status) == ("parallel", "failed", 502)
    assert {a.model: a.error_code for a in call.attempts.all()} == {m: code for m, (_, code, _) in codes.items()}


def test_when_all_fail_a_request_that_no_model_takes_is_a_400(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(MAX_RETRIES=0)
    simulator.script("down", Behaviour(status=500, latency_s=0.1))
    response = race(client, "sim-400", "down", default_message="no")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


def test_when_all_fail_the_default_message_stands_in_if_it_was_asked_for(client: httpx2.Client) -> None:
    response = race(client, "sim-401", "sim-quota", default_message="Sorry.")
    answer = response.json()
    assert response.status_code == 200
    assert (answer["content"], answer["is_default_message"], answer["model_used"]) == ("Sorry.", True, None)


def test_a_race_that_nobody_wins_in_time_is_a_504_and_nothing_goes_on(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    started = time.monotonic()
    response = race(client, "sim-timeout", "sim-stall", timeout=0.4)
    assert time.monotonic() - started < 5
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    for model in ("sim-timeout", "sim-stall"):
        assert request_of(simulator, model, ended="disconnected")["disconnected_after_ms"] < 1500


def test_the_fastest_success_wins_and_the_losers_are_cut_off_and_on_record(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("slow", SLOW)
    simulator.script("quick", Behaviour(first_token_s=0.35, answer="quick"))
    answer = race(client, "slow", "quick", "sim-timeout").json()
    assert (answer["content"], answer["model_used"]) == ("quick", "quick")
    for model in ("slow", "sim-timeout"):
        assert request_of(simulator, model, ended="disconnected")["disconnected_after_ms"] < 2000

    call = CallRecord.objects.get()
    assert (call.status, call.streamed, call.model_requested, call.model_used) == ("succeeded", False, "slow", "quick")
    slow, quick, silent = call.attempts.all()
    assert [a.status for a in (slow, quick, silent)] == ["cancelled", "succeeded", "cancelled"]
    assert all(a.raced for a in (slow, quick, silent))
    assert (slow.usage_estimated, silent.usage_estimated, quick.usage_estimated) == (True, True, False)
    assert slow.prompt_tokens == silent.prompt_tokens
    assert (slow.prompt_tokens or 0) > 0
    assert 0 < (slow.completion_tokens or 0) < 40
    assert silent.completion_tokens == 0
    assert slow.time_to_first_token_ms is not None
    assert (call.prompt_tokens, call.usage_estimated) == (quick.prompt_tokens, False)


def test_the_cost_is_that_of_all_racers(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", SLOW)
    simulator.script("gpt-4o-mini", Behaviour(first_token_s=0.3, answer="quick"))
    answer = race(client, "gpt-4o", "gpt-4o-mini").json()
    costs = [a["cost_usd"] for a in answer["attempts"]]
    assert all(cost > 0 for cost in costs)
    assert answer["cost_usd"] == pytest.approx(sum(costs))


def test_racers_go_upstream_as_streams_and_the_answer_is_what_the_winner_said(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    said = "First line,\n\n  second line: 漢 😀 [DONE]\tdone."
    simulator.script("quick", Behaviour(answer=said))
    simulator.script("slow", Behaviour(latency_s=5))
    answer = race(client, "quick", "slow").json()
    assert answer["content"] == said
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["estimated"] is False
    for seen in simulator.requests():
        assert (seen["stream"], seen["body"]["stream_options"]) == (True, {"include_usage": True})
    assert CallRecord.objects.get().body.content == said


def test_with_no_models_the_default_and_the_first_fallback_race(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    for model in ("gpt-4o", "gpt-4o-mini"):
        simulator.script(model, Behaviour(first_token_s=0.2))
    response = client.post("/chat/parallel", json={"prompt": "a"})
    assert response.status_code == 200
    assert {seen["model"] for seen in simulator.requests()} == {"gpt-4o", "gpt-4o-mini"}


def test_a_race_can_have_a_fallback(client: httpx2.Client) -> None:
    response = client.post("/chat/parallel", json={"prompt": "a", "model": "sim-401|sim-quota>gpt-4o"})
    answer = response.json()
    assert (answer["model_used"], answer["fallback_triggered"]) == ("gpt-4o", True)
    assert CallRecord.objects.get().route == "sim-401|sim-quota>gpt-4o"


def test_a_quick_first_racer_needs_no_second(client: httpx2.Client, simulator: SimulatorThread) -> None:
    answer = race(client, "gpt-4o", "gpt-4o-mini", hedge_after=20).json()
    assert [a["model"] for a in answer["attempts"]] == ["gpt-4o"]
    assert [seen["model"] for seen in simulator.requests()] == ["gpt-4o"]
    assert CallRecord.objects.get().attempts.get().raced is False


def test_a_slow_first_racer_is_joined_by_the_second_after_hedge_after(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    answer = race(client, "sim-timeout", "gpt-4o", hedge_after=0.3).json()
    assert answer["model_used"] == "gpt-4o"
    first, second = CallRecord.objects.get().attempts.all()
    assert (first.status, second.status, second.raced) == ("cancelled", "succeeded", True)
    assert 290 <= second.started_after_ms < 2000
    times = {seen["model"]: seen["started_at"] for seen in simulator.requests()}
    assert times["gpt-4o"] - times["sim-timeout"] >= 0.25


def test_a_first_racer_that_fails_is_followed_at_once(client: httpx2.Client) -> None:
    started = time.monotonic()
    answer = race(client, "sim-500", "gpt-4o", hedge_after=20).json()
    assert time.monotonic() - started < 5
    assert answer["model_used"] == "gpt-4o"
    assert CallRecord.objects.get().attempts.get(model="gpt-4o").started_after_ms < 5000


def test_with_no_budget_for_hedges_the_second_racer_waits_for_a_failure(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(HEDGE_BUDGET=0.0)
    simulator.script("slow", Behaviour(latency_s=0.4, answer="slow"))
    assert race(client, "slow", "gpt-4o", hedge_after=0.05).json()["model_used"] == "slow"
    assert [seen["model"] for seen in simulator.requests()] == ["slow"]
    # A race that the caller asked for is not a hedge, so the budget for hedges does not limit it.
    assert race(client, "slow", "gpt-4o").json()["model_used"] == "gpt-4o"


def test_the_default_hedge_after_is_a_setting(start_site: StartSite) -> None:
    client = start_site(HEDGE_AFTER=20.0)
    assert len(race(client, "gpt-4o", "gpt-4o-mini").json()["attempts"]) == 1
    assert len(race(client, "gpt-4o", "gpt-4o-mini", hedge_after=0).json()["attempts"]) == 2
