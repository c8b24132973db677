"""What is learned of a model's refusals, and what is not."""

from __future__ import annotations

import pytest

from llm import ModelRef
from llm.errors import UnsupportedParameter
from llm.json_values import Json
from llm.upstream.adaptation import MAX_VALUES, RefusedParameters

MODEL = ModelRef(provider="openai", name="m")


def refusal(parameter: str, *, value_only: bool = False) -> UnsupportedParameter:
    return UnsupportedParameter("no", parameter=parameter, value_only=value_only)


def test_a_call_that_was_under_way_when_the_first_was_refused_is_asked_again_too() -> None:
    refused = RefusedParameters()
    sent = [refused.adapt(MODEL, {"temperature": 0.7}) for _ in range(2)]
    assert [refused.learn(MODEL, refusal("temperature"), body) for body in sent] == [True, True]
    assert refused.adapt(MODEL, {"temperature": 0.7}) == {}


@pytest.mark.parametrize("value_only", [False, True])
def test_what_was_not_sent_can_not_be_left_out(value_only: bool) -> None:
    assert not RefusedParameters().learn(MODEL, refusal("temperature", value_only=value_only), {})


def test_a_refused_value_leaves_other_values_and_other_models_alone() -> None:
    refused = RefusedParameters()
    assert refused.learn(MODEL, refusal("reasoning_effort", value_only=True), {"reasoning_effort": "minimal"})
    assert refused.adapt(MODEL, {"reasoning_effort": "minimal", "n": 1}) == {"n": 1}
    assert refused.adapt(MODEL, {"reasoning_effort": "high"}) == {"reasoning_effort": "high"}
    other = ModelRef(provider="openai", name="other")
    assert refused.adapt(other, {"reasoning_effort": "minimal"}) == {"reasoning_effort": "minimal"}


def test_so_many_values_are_remembered_and_the_latest_in_any_case() -> None:
    refused = RefusedParameters()
    for number in range(MAX_VALUES + 5):
        body: Json = {"temperature": number}
        assert refused.learn(MODEL, refusal("temperature", value_only=True), body)
        assert refused.adapt(MODEL, body) == {}
    assert refused.adapt(MODEL, {"temperature": 0}) == {"temperature": 0}


def test_a_limit_goes_on_under_its_other_name_and_a_limit_that_is_no_good_is_the_callers_to_mend() -> None:
    refused = RefusedParameters()
    assert not refused.learn(MODEL, refusal("max_tokens", value_only=True), {"max_tokens": 5})
    assert refused.learn(MODEL, refusal("max_tokens"), {"max_tokens": 5})
    assert refused.adapt(MODEL, {"max_tokens": 5}) == {"max_completion_tokens": 5}
    assert not refused.learn(MODEL, refusal("max_completion_tokens"), {"max_completion_tokens": 5})
