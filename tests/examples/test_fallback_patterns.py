"""The example examples/fallback_patterns.py."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import responses
from responses.matchers import json_params_matcher

from chat.models import CallRecord
from tests.examples.conftest import ANSWER, SERVICE, error


@pytest.fixture
def patterns(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("fallback_patterns")


def test_a_request_that_no_model_takes_is_an_error_and_no_default(
    patterns: ModuleType, service: responses.RequestsMock
) -> None:
    service.post(f"{SERVICE}/chat/fallback", status=400, json=error("context_window_exceeded", "Too long."))
    with pytest.raises(patterns.CallFailed, match="context_window_exceeded: Too long"):
        patterns.with_default("Hi", "Sorry.", "a")


def test_fallbacks_are_sent_by_name(patterns: ModuleType, service: responses.RequestsMock) -> None:
    body = {"prompt": "Hi", "primary_model": "a", "fallback_models": ["b", "c"], "timeout": 60}
    service.post(f"{SERVICE}/chat/fallback", json=ANSWER, match=[json_params_matcher(body)])
    assert patterns.with_fallbacks("Hi", "a", "b", "c") == ANSWER


def test_a_chain_is_sent_in_the_model_field(patterns: ModuleType, service: responses.RequestsMock) -> None:
    body = {"prompt": "Hi", "model": "a>b", "timeout": 60}
    service.post(f"{SERVICE}/chat", json=ANSWER, match=[json_params_matcher(body)])
    assert patterns.by_route("Hi", "a", "b") == ANSWER


def test_a_default_message_is_sent_with_the_time_for_all_models(
    patterns: ModuleType, service: responses.RequestsMock
) -> None:
    body = {"prompt": "Hi", "model": "a>b", "default_message": "Sorry.", "timeout": 3}
    service.post(f"{SERVICE}/chat/fallback", json=ANSWER, match=[json_params_matcher(body)])
    assert patterns.with_default("Hi", "Sorry.", "a", "b", timeout=3) == ANSWER


def test_an_answer_is_described_by_its_attempts_and_their_causes(patterns: ModuleType) -> None:
    failed = {"model": "a", "status": "failed", "error_code": "upstream_failed"}
    text = patterns.describe({**ANSWER, "fallback_triggered": True, "attempts": [failed, *ANSWER["attempts"]]})
    assert "Fallback triggered: True" in text
    assert "Attempts: a upstream_failed, gpt-4o succeeded" in text


def test_it_runs_and_shows_a_fallback_a_route_and_a_default_message(run_example: Callable[..., str]) -> None:
    first, second, third = run_example("fallback_patterns").strip().split("\n\n")
    assert "Attempts: sim-503 upstream_failed, gpt-4o-mini succeeded" in first
    assert "Attempts: sim-500 upstream_failed, sim-429 upstream_rate_limited, gpt-4o-mini succeeded" in second
    assert "Answer: We can't answer right now." in third
    assert "Attempts: sim-500 upstream_failed, sim-timeout upstream_timeout" in third
    for part, defaulted in ((first, False), (second, False), (third, True)):
        assert f"Fallback triggered: True\n  Is default message: {defaulted}\n" in part
    columns = ("door", "route", "status", "model_used", "is_default_message")
    assert list(CallRecord.objects.order_by("id").values_list(*columns)) == [
        ("fallback", "sim-503>gpt-4o-mini", "succeeded", "gpt-4o-mini", False),
        ("chat", "sim-500>sim-429>gpt-4o-mini", "succeeded", "gpt-4o-mini", False),
        ("fallback", "sim-500>sim-timeout", "defaulted", "", True),
    ]
