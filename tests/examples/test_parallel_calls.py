"""The example examples/parallel_calls.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import ModuleType

import pytest
import responses
from requests import PreparedRequest
from responses.matchers import json_params_matcher

from chat.models import Attempt, CallRecord
from tests.examples.conftest import ANSWER, SERVICE, error

PARALLEL = f"{SERVICE}/chat/parallel"


@pytest.fixture
def parallel_calls(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("parallel_calls")


def test_a_race_that_nobody_wins_is_an_error(parallel_calls: ModuleType, service: responses.RequestsMock) -> None:
    service.post(PARALLEL, status=502, json=error("upstream_failed", "Down.", attempts=[]))
    with pytest.raises(parallel_calls.CallFailed, match=r"upstream_failed: Down\. \(request req_1\)"):
        parallel_calls.race("Hi", "a", "b")


def test_one_question_that_fails_is_not_lost_among_the_others(
    parallel_calls: ModuleType, service: responses.RequestsMock
) -> None:
    def answer(request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        bad = json.loads(request.body or "")["prompt"] == "bad"
        return (502, {}, json.dumps(error("upstream_failed", "Down."))) if bad else (200, {}, json.dumps(ANSWER))

    service.add_callback("POST", PARALLEL, callback=answer)
    with pytest.raises(parallel_calls.CallFailed):
        parallel_calls.race_all(["good", "bad", "good"], "a", "b")


def test_the_racers_and_the_hedge_are_sent(parallel_calls: ModuleType, service: responses.RequestsMock) -> None:
    body = {"prompt": "Hi", "models": ["a", "b"], "hedge_after": 0.5, "timeout": 60}
    service.post(PARALLEL, json=ANSWER, match=[json_params_matcher(body)])
    assert parallel_calls.race("Hi", "a", "b", hedge_after=0.5) == ANSWER


def test_many_answers_come_in_the_order_of_their_questions(
    parallel_calls: ModuleType, service: responses.RequestsMock
) -> None:
    def echo(request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        return 200, {}, json.dumps({**ANSWER, "content": json.loads(request.body or "")["prompt"]})

    service.add_callback("POST", PARALLEL, callback=echo)
    prompts = [f"question {number}" for number in range(9)]
    assert [answer["content"] for answer in parallel_calls.race_all(prompts, "a", "b")] == prompts


def test_it_runs_and_shows_who_won_each_race(run_example: Callable[..., str]) -> None:
    race, hedge, questions = run_example("parallel_calls").strip().split("\n\n")
    for part in (race, hedge):
        assert "  gpt-4o-mini won: " in part
        assert re.search(r"sim-slow +cancelled +after \d+ ms\n +gpt-4o-mini +succeeded +after \d+ ms", part)
    said = re.findall(r"You said: (.*)", questions)
    assert said == ["What is red?", "What is green?", "What is blue?"]
    calls = list(CallRecord.objects.order_by("id"))
    assert [(call.door, call.status) for call in calls] == [("parallel", "succeeded")] * 5
    raced, hedged = (Attempt.objects.get(call=call, model="gpt-4o-mini") for call in calls[:2])
    assert raced.started_after_ms < 400 <= hedged.started_after_ms
