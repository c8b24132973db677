"""POST /chat/fallback"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm import Provider
from llm.simulator import Behaviour, SimulatorThread

StartSite = Callable[..., httpx2.Client]


def ask(client: httpx2.Client, **fields: Any) -> httpx2.Response:
    return client.post("/chat/fallback", json={"prompt": "Hello", **fields})


def test_bad_input_is_a_400_that_names_the_field(client: httpx2.Client, simulator: SimulatorThread) -> None:
    for body, field in (
        ({"primary_provider": "nobody"}, "primary_provider"),
        ({"primary_provider": ""}, "primary_provider"),
        ({"primary_model": ""}, "primary_model"),
        ({"primary_model": 5}, "primary_model"),
        ({"fallback_models": "gpt-4o"}, "fallback_models"),
        ({"fallback_models": [""]}, "fallback_models.0"),
        ({"fallback_models": ["m"] * 9}, "fallback_models"),
        ({"model": "a>b", "primary_model": "a"}, "model"),
        ({"model": "a>b", "fallback_models": ["a"]}, "model"),
        ({"default_message": ""}, "default_message"),
        ({"default_message": "a" * 10_001}, "default_message"),
        ({"primary_model": "a>"}, "model"),
    ):
        response = ask(client, **body)
        assert response.status_code == 400, body
        assert field in response.json()["error"]["details"]["fields"], response.text
    assert simulator.requests() == []
    assert CallRecord.objects.count() == 0


def test_an_unknown_provider_is_told_which_there_are(client: httpx2.Client) -> None:
    message = ask(client, primary_provider="nobody").json()["error"]["message"]
    assert "'nobody'" in message
    assert "openai" in message


@pytest.mark.parametrize(
    ("model", "code"), [("sim-400", "invalid_request"), ("sim-context", "context_window_exceeded")]
)
def test_what_the_caller_must_mend_is_a_400_and_never_the_default_message(
    client: httpx2.Client, model: str, code: str
) -> None:
    response = ask(client, primary_model=model, fallback_models=[model], default_message="Sorry.")
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    call = CallRecord.objects.get()
    assert (call.status, call.http_status, call.is_default_message) == ("failed", 400, False)


def test_a_request_that_no_model_takes_is_not_sent_to_the_next(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    assert ask(client, primary_model="sim-400", fallback_models=["gpt-4o"]).status_code == 400
    assert [seen["model"] for seen in simulator.requests()] == ["sim-400"]


@pytest.mark.parametrize(
    ("primary", "code"),
    [
        ("sim-401", "upstream_auth_failed"),
        ("sim-404", "model_not_found"),
        ("sim-429", "upstream_rate_limited"),
        ("sim-quota", "upstream_quota_exceeded"),
        ("sim-500", "upstream_failed"),
        ("sim-context", "context_window_exceeded"),
        ("sim-html", "invalid_upstream_response"),
        ("sim-empty", "empty_answer"),
        ("sim-cut", "upstream_unavailable"),
        ("sim-malformed", "invalid_upstream_response"),
    ],
)
def test_a_primary_that_fails_is_followed_by_the_fallback(client: httpx2.Client, primary: str, code: str) -> None:
    response = ask(client, primary_model=primary, fallback_models=["gpt-4o-mini"])
    answer = response.json()
    assert response.status_code == 200
    assert (answer["model_used"], answer["provider_used"]) == ("gpt-4o-mini", "openai")
    assert (answer["fallback_triggered"], answer["is_default_message"]) == (True, False)
    assert [(a["model"], a["status"], a["error_code"]) for a in answer["attempts"]] == [
        (primary, "failed", code),
        ("gpt-4o-mini", "succeeded", None),
    ]
    call = CallRecord.objects.get()
    assert (call.door, call.status, call.fallback_triggered, call.error_code) == ("fallback", "succeeded", True, "")
    assert [(a.ordinal, a.model, a.error_code) for a in call.attempts.all()] == [
        (0, primary, code),
        (1, "gpt-4o-mini", ""),
    ]


def test_a_primary_that_answers_triggers_no_fallback(client: httpx2.Client, simulator: SimulatorThread) -> None:
    answer = ask(client).json()
    assert (answer["model_used"], answer["fallback_triggered"]) == ("gpt-4o", False)
    assert len(simulator.requests()) == 1


def test_the_chain_of_the_settings_is_walked_in_order(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(DEFAULT_MODEL="first", FALLBACK_MODELS=["second", "third"])
    simulator.script("first", Behaviour(status=500))
    simulator.script("second", Behaviour(status=503))
    answer = ask(client).json()
    assert answer["model_used"] == "third"
    assert [a["model"] for a in answer["attempts"]] == ["first", "second", "third"]
    assert CallRecord.objects.get().route == "first>second>third"


def test_the_default_chain_ends_on_a_model_with_no_announced_end(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    for model in ("gpt-4o", "gpt-4o-mini"):
        simulator.script(model, Behaviour(status=404))
    answer = ask(client).json()
    assert (answer["model_used"], answer["fallback_triggered"]) == ("gpt-6-luna", True)


def test_the_provider_can_be_named(client: httpx2.Client, simulator: SimulatorThread) -> None:
    answer = ask(client, primary_provider="openai", primary_model="gpt-4o-mini").json()
    assert (answer["model_used"], answer["provider_used"]) == ("gpt-4o-mini", "openai")
    assert simulator.requests()[0]["body"]["model"] == "gpt-4o-mini"


def test_a_fallback_may_be_another_providers(start_site: StartSite, simulator: SimulatorThread) -> None:
    providers = {
        "openai": Provider(name="openai", base_url="http://127.0.0.1:9", api_key="sk-none"),  # nobody listens there
        "spare": Provider(name="spare", base_url=simulator.base_url, needs_key=False),
    }
    client = start_site(PROVIDERS=providers)
    answer = ask(client, primary_provider="openai", fallback_models=["spare/gpt-4o-mini"]).json()
    assert (answer["model_used"], answer["provider_used"]) == ("gpt-4o-mini", "spare")
    unreachable, good = CallRecord.objects.get().attempts.all()
    assert (unreachable.error_code, unreachable.provider) == ("upstream_unavailable", "openai")
    assert unreachable.prompt_tokens is None
    assert unreachable.cost_usd is None
    assert good.provider == "spare"


@pytest.mark.parametrize("message", [None, "Back soon.\nReally."])
def test_when_all_fail_the_default_message_answers(start_site: StartSite, message: str | None) -> None:
    client = start_site(MAX_RETRIES=0, DEFAULT_MESSAGE="From the settings.")
    fields = {} if message is None else {"default_message": message}
    response = ask(client, primary_model="sim-500", fallback_models=["sim-quota"], **fields)
    answer = response.json()
    assert response.status_code == 200
    assert answer["content"] == (message or "From the settings.")
    assert (answer["is_default_message"], answer["fallback_triggered"]) == (True, True)
    assert (answer["model_used"], answer["provider_used"]) == (None, None)
    assert [a["error_code"] for a in answer["attempts"]] == ["upstream_failed", "upstream_quota_exceeded"]
    call = CallRecord.objects.get()
    assert (call.status, call.http_status, call.is_default_message) == ("defaulted", 200, True)
    assert call.error_code == "upstream_quota_exceeded"
    assert call.body.content == answer["content"]


def test_the_default_message_answers_when_there_is_no_key(start_site: StartSite) -> None:
    client = start_site(PROVIDERS={"openai": Provider(name="openai", base_url="http://127.0.0.1:9")})
    response = ask(client)
    assert (response.status_code, response.json()["is_default_message"]) == (200, True)


def test_the_default_message_answers_at_the_deadline(client: httpx2.Client) -> None:
    started = time.monotonic()
    answer = ask(client, primary_model="sim-timeout", fallback_models=["gpt-4o"], timeout=0.3).json()
    assert time.monotonic() - started < 5
    assert (answer["is_default_message"], [a["error_code"] for a in answer["attempts"]]) == (True, ["upstream_timeout"])


def test_a_slow_primary_leaves_time_for_the_fallback_by_the_attempts_clock(start_site: StartSite) -> None:
    client = start_site(ATTEMPT_TIMEOUT=0.2)
    answer = ask(client, primary_model="sim-timeout", fallback_models=["gpt-4o"]).json()
    assert [a["error_code"] for a in answer["attempts"]] == ["upstream_timeout", None]


def test_a_model_with_an_open_breaker_is_skipped_and_on_record(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(BREAKER_FAILURES=1)
    ask(client, primary_model="sim-500", fallback_models=["gpt-4o"])
    answer = ask(client, primary_model="sim-500", fallback_models=["gpt-4o"]).json()
    assert [(a["model"], a["status"]) for a in answer["attempts"]] == [("sim-500", "skipped"), ("gpt-4o", "succeeded")]
    assert answer["fallback_triggered"] is True
    assert [seen["model"] for seen in simulator.requests()] == ["sim-500", "gpt-4o", "gpt-4o"]


def test_a_callers_own_short_timeout_opens_no_breaker_for_the_others(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(BREAKER_FAILURES=1)
    simulator.script("gpt-4o", Behaviour(latency_s=0.5))
    hasty = ask(client, primary_model="gpt-4o", fallback_models=["gpt-4o-mini"], timeout=0.1).json()
    assert [a["error_code"] for a in hasty["attempts"]] == ["upstream_timeout"]
    patient = ask(client, primary_model="gpt-4o", fallback_models=["gpt-4o-mini"]).json()
    assert [(a["model"], a["status"]) for a in patient["attempts"]] == [("gpt-4o", "succeeded")]


def test_a_model_that_lets_the_settings_time_run_out_has_its_breaker_opened(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(BREAKER_FAILURES=1, REQUEST_TIMEOUT=0.3)
    simulator.script("gpt-4o", Behaviour(latency_s=2))
    first = ask(client, primary_model="gpt-4o", fallback_models=["gpt-4o-mini"]).json()
    assert [a["error_code"] for a in first["attempts"]] == ["upstream_timeout"]
    answer = ask(client, primary_model="gpt-4o", fallback_models=["gpt-4o-mini"]).json()
    assert [(a["model"], a["status"]) for a in answer["attempts"]] == [
        ("gpt-4o", "skipped"),
        ("gpt-4o-mini", "succeeded"),
    ]


def test_names_that_are_too_long_together_are_refused_before_anything_is_asked(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    response = ask(client, primary_model="gpt-4o", fallback_models=[f"{number}".ljust(200, "x") for number in range(6)])
    assert response.status_code == 400
    assert "1000 characters" in response.json()["error"]["details"]["fields"]["fallback_models"][0]
    assert simulator.requests() == []


def test_each_model_is_asked_once_though_the_primary_stands_among_the_fallbacks(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", Behaviour(status=404))
    answer = ask(client, primary_model="gpt-4o", fallback_models=["gpt-4o", "gpt-4o-mini"]).json()
    assert [a["model"] for a in answer["attempts"]] == ["gpt-4o", "gpt-4o-mini"]


def test_each_model_is_asked_once_though_the_primary_is_the_default_one(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", Behaviour(status=404))
    answer = ask(client, fallback_models=["gpt-4o", "gpt-4o-mini", "gpt-4o-mini"]).json()
    assert [a["model"] for a in answer["attempts"]] == ["gpt-4o", "gpt-4o-mini"]


def test_a_fallback_of_the_same_name_at_another_provider_is_kept(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    providers = {
        "openai": Provider(name="openai", base_url=simulator.base_url, api_key="sk-test"),
        "broken": Provider(name="broken", base_url="http://127.0.0.1:9", needs_key=False),
    }
    client = start_site(PROVIDERS=providers)
    answer = ask(client, primary_provider="broken", primary_model="gpt-4o", fallback_models=["gpt-4o"]).json()
    assert [(a["provider"], a["status"]) for a in answer["attempts"]] == [("broken", "failed"), ("openai", "succeeded")]
