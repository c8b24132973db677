"""The example examples/basic_call.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import requests
import responses

from chat.models import CallRecord
from tests.examples.conftest import ANSWER, EXAMPLES, SERVICE, error

Load = Callable[[str], ModuleType]
CHAT = f"{SERVICE}/chat"


@pytest.fixture
def basic_call(load: Load) -> ModuleType:
    return load("basic_call")


def test_an_error_is_told_in_the_services_words_with_the_request_id(
    basic_call: ModuleType, service: responses.RequestsMock
) -> None:
    service.post(CHAT, status=400, json=error("invalid_request", "temperature: Too hot.", fields={"temperature": []}))
    with pytest.raises(basic_call.CallFailed) as caught:
        basic_call.ask("Hi", temperature=3)
    assert str(caught.value) == "invalid_request: temperature: Too hot. (request req_1)"
    assert caught.value.details == {"fields": {"temperature": []}}


@pytest.mark.parametrize("body", ["<h1>Bad Gateway</h1>", '{"error": "Bad Gateway"}', "[]", ""])
def test_an_error_that_is_not_the_services_own_is_still_a_call_that_failed(
    basic_call: ModuleType, service: responses.RequestsMock, body: str
) -> None:
    service.post(CHAT, status=502, body=body, headers={"X-Request-ID": "req_2"})
    with pytest.raises(basic_call.CallFailed, match=r"^http_502: Bad Gateway \(request req_2\)$"):
        basic_call.ask("Hi")


def test_a_service_that_is_not_there_is_told_with_what_to_do(run: Callable[..., Any]) -> None:
    done = run(EXAMPLES / "basic_call.py")
    assert done.returncode == 1
    assert done.stderr.startswith("No answer from http://127.0.0.1:9. Is the service running (`make run`)?")
    assert "Traceback" not in done.stderr


def test_a_timeout_of_the_connection_is_not_swallowed(basic_call: ModuleType, service: responses.RequestsMock) -> None:
    service.post(CHAT, body=requests.ReadTimeout())
    with pytest.raises(requests.ReadTimeout):
        basic_call.ask("Hi")


def test_retry_after_is_waited_for(basic_call: ModuleType, service: responses.RequestsMock, waits: list[float]) -> None:
    service.post(CHAT, status=429, json=error("upstream_rate_limited", "Later."), headers={"Retry-After": "7"})
    service.post(CHAT, json=ANSWER)
    assert basic_call.ask("Hi") == ANSWER
    assert waits == [7]


def test_retry_after_is_not_waited_for_without_end(
    basic_call: ModuleType, service: responses.RequestsMock, waits: list[float]
) -> None:
    for _ in range(3):
        service.post(CHAT, status=429, json=error("upstream_rate_limited", "Later."), headers={"Retry-After": "1"})
    with pytest.raises(basic_call.CallFailed, match="upstream_rate_limited"):
        basic_call.ask("Hi")
    assert waits == [1, 1]


@pytest.mark.parametrize("retry_after", ["31", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", None])
def test_a_wait_that_is_too_long_or_not_in_seconds_is_an_error_at_once(
    basic_call: ModuleType, service: responses.RequestsMock, waits: list[float], retry_after: str | None
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    service.post(CHAT, status=429, json=error("upstream_rate_limited", "Later."), headers=headers)
    with pytest.raises(basic_call.CallFailed):
        basic_call.ask("Hi")
    assert waits == []


def test_the_call_is_sent_with_its_timeout_and_given_a_little_more(
    basic_call: ModuleType, service: responses.RequestsMock
) -> None:
    service.post(CHAT, json=ANSWER)
    assert basic_call.ask("Hi", model="a>b", timeout=10, temperature=0.2) == ANSWER
    sent = service.calls[0].request
    assert json.loads(sent.body) == {"prompt": "Hi", "model": "a>b", "timeout": 10, "temperature": 0.2}
    assert sent.req_kwargs["timeout"] == (5, 15)


@pytest.mark.parametrize(
    ("marks", "written"),
    [
        ({}, "$0.000100"),
        ({"cost_estimated": True}, "~$0.000100"),
        ({"cost_incomplete": True}, "at least $0.000100"),
        ({"cost_estimated": True, "cost_incomplete": True}, "at least ~$0.000100"),
        ({"cost_usd": None, "cost_incomplete": True}, "price unknown"),
    ],
)
def test_a_cost_says_what_it_is_worth(basic_call: ModuleType, marks: dict[str, Any], written: str) -> None:
    assert basic_call.cost_of(ANSWER | marks) == written


def test_it_runs_and_both_the_answer_and_the_error_are_printed(run_example: Callable[..., str]) -> None:
    printed = run_example("basic_call", "Why is", "the sky blue?")
    assert "You said: Why is the sky blue?\n[gpt-4o by openai, " in printed
    assert "invalid_request: temperature: Ensure this value is less than or equal to 2. (request req_" in printed
    call = CallRecord.objects.get()
    assert (call.door, call.status, call.model_used) == ("chat", "succeeded", "gpt-4o")
    assert call.body.messages == [{"role": "user", "content": "Why is the sky blue?"}]
    assert (call.body.parameters["temperature"], call.body.parameters["max_tokens"]) == (0.7, 500)
    assert f"${call.cost_usd:.6f}" in printed
