"""What is left out of a body when a model refuses it, what is remembered of that, and what is not."""

from __future__ import annotations

import pytest

from llm import ModelRef
from llm.error_reading import read_error
from llm.errors import UnsupportedParameter, UpstreamError
from llm.json_values import Json
from llm.upstream.adaptation import MAX_MODELS, MAX_VALUES, REMEMBERED_SECONDS, AdaptedBody, RefusedParameters
from tests.support.clock import Clock
from tests.support.upstreams.wire_replay import WIRE_CASES

MODEL = ModelRef(provider="openai", name="m")
OPTIONS: Json = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refused(clock: Clock) -> RefusedParameters:
    return RefusedParameters(clock=clock)


def refusal(parameter: str, *, value_only: bool = False) -> UpstreamError:
    return UnsupportedParameter("no", parameter=parameter, value_only=value_only)


def says(message: str, *, status: int = 400, param: str | None = None) -> UpstreamError:
    return read_error({"message": message, "param": param}, http_status=status)


def adapted(
    refused: RefusedParameters, asked: Json, own: Json | None = None, *, model: ModelRef = MODEL
) -> AdaptedBody:
    """A body of which the caller has sent `own`, or all of it."""
    return AdaptedBody(refused, model, asked, asked if own is None else own)


def learn(refused: RefusedParameters, asked: Json, *errors: UpstreamError, own: Json | None = None) -> Json:
    """The body after these refusals, once it is accepted."""
    body = adapted(refused, asked, own)
    assert all(body.leave_out(error) for error in errors)
    body.accepted()
    return body.body


# What the caller has sent


def test_a_refused_parameter_is_left_out_and_that_is_remembered(refused: RefusedParameters) -> None:
    assert learn(refused, {"temperature": 0.7}, refusal("temperature")) == {}
    assert adapted(refused, {"temperature": 0.7}).body == {}


def test_a_call_that_was_under_way_when_the_first_was_refused_is_asked_again_too(refused: RefusedParameters) -> None:
    first, second = (adapted(refused, {"temperature": 0.7}) for _ in range(2))
    for body in (first, second):
        assert body.leave_out(refusal("temperature"))
        body.accepted()
        assert body.body == {}


@pytest.mark.parametrize("value_only", [False, True])
def test_what_was_not_sent_can_not_be_left_out(refused: RefusedParameters, value_only: bool) -> None:
    assert not adapted(refused, {}).leave_out(refusal("temperature", value_only=value_only))


@pytest.mark.parametrize("value_only", [False, True])
def test_a_refused_value_leaves_other_values_and_other_models_alone(
    refused: RefusedParameters, value_only: bool
) -> None:
    """Also where it was refused altogether: some models take a temperature, but not together with some other value."""
    learn(refused, {"temperature": 0.2}, refusal("temperature", value_only=value_only))
    assert adapted(refused, {"temperature": 0.2, "n": 1}).body == {"n": 1}
    assert adapted(refused, {"temperature": 0.9}).body == {"temperature": 0.9}
    other = ModelRef(provider="openai", name="other")
    assert adapted(refused, {"temperature": 0.2}, model=other).body == {"temperature": 0.2}


def test_nothing_is_remembered_of_a_request_that_did_not_get_on(refused: RefusedParameters) -> None:
    assert adapted(refused, {"temperature": 0.7}).leave_out(refusal("temperature"))
    assert adapted(refused, {"temperature": 0.7}).body == {"temperature": 0.7}
    assert refused.names() == {}


def test_a_limit_goes_on_under_its_other_name_and_a_limit_that_is_no_good_is_the_callers_to_mend(
    refused: RefusedParameters,
) -> None:
    assert not adapted(refused, {"max_tokens": 5}).leave_out(refusal("max_tokens", value_only=True))
    assert learn(refused, {"max_tokens": 5}, refusal("max_tokens")) == {"max_completion_tokens": 5}
    assert adapted(refused, {"max_tokens": 7}).body == {"max_completion_tokens": 7}


def test_a_limit_that_is_refused_by_either_name_is_told_by_the_callers_name(refused: RefusedParameters) -> None:
    body = adapted(refused, {"max_tokens": 5})
    assert body.leave_out(refusal("max_tokens"))
    error = says("Unknown parameter: 'max_completion_tokens'.", param="max_completion_tokens")
    assert not body.leave_out(error)
    body.in_the_callers_words(error)
    assert error.message == "Unknown parameter: 'max_tokens'."
    assert error.body is not None and error.body["param"] == "max_tokens"


def test_a_number_that_is_too_large_is_told_by_the_callers_name(refused: RefusedParameters) -> None:
    learn(refused, {"max_tokens": 5}, refusal("max_tokens"))
    body = adapted(refused, {"max_tokens": 99_999})
    error = says("max_completion_tokens is too large: 99999. This model supports at most 16384 completion tokens.")
    assert not body.leave_out(error)
    body.in_the_callers_words(error)
    assert error.message.startswith("max_tokens is too large: 99999.")


def test_a_name_that_we_have_given_is_taken_back(refused: RefusedParameters) -> None:
    learn(refused, {"max_tokens": 5}, refusal("max_tokens"))
    body = adapted(refused, {"max_tokens": 5})
    assert body.body == {"max_completion_tokens": 5}
    assert body.leave_out(says("Unrecognized request argument supplied: max_completion_tokens"))
    assert body.body == {"max_tokens": 5}
    assert not body.leave_out(refusal("max_tokens"))
    body.accepted()
    assert adapted(refused, {"max_tokens": 5}).body == {"max_tokens": 5}
    assert adapted(refused, {"max_completion_tokens": 5}).body == {"max_tokens": 5}


# What the service has added

REFUSALS = [
    read_error(refusal["body"], http_status=refusal["status"])
    for refusal in WIRE_CASES["stream-options-refused"]["refusals"]
]
MORE_REFUSALS = [
    read_error(body, http_status=status)
    for status, body in [
        (422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}),
        (422, {"detail": [{"loc": ["body", "stream_options", "include_usage"], "msg": "no"}]}),
        (400, {"detail": "Extra parameters ['stream_options'] are not allowed when extra-parameters is not set."}),
        (400, {"error": {"message": "Validation error at #/stream_options: Extra inputs are not permitted"}}),
        (400, {"error": {"message": "include_usage is not supported"}}),
        (400, {"error": 'json: unknown field "stream_options"'}),
        (500, {"error": "create() got an unexpected keyword argument 'stream_options'"}),
        (400, {"error": {"message": "no", "code": "unsupported_parameter", "param": "stream_options"}}),
        (400, {"error": {"message": "no", "code": "unsupported_value", "param": "stream_options.include_usage"}}),
    ]
]


@pytest.mark.parametrize("error", [*REFUSALS, *MORE_REFUSALS], ids=lambda error: error.message)
def test_what_we_have_added_is_taken_back_whatever_the_words_are(
    refused: RefusedParameters, error: UpstreamError
) -> None:
    assert learn(refused, OPTIONS, error, own={"stream": True}) == {"stream": True}
    assert adapted(refused, OPTIONS, {"stream": True}).body == {"stream": True}


def test_only_our_own_part_of_a_value_is_taken_back(refused: RefusedParameters) -> None:
    own: Json = {"stream": True, "stream_options": {"include_obfuscation": False}}
    asked: Json = {"stream": True, "stream_options": {"include_obfuscation": False, "include_usage": True}}
    assert learn(refused, asked, REFUSALS[0], own=own) == own
    assert adapted(refused, asked, own).body == own
    assert adapted(refused, OPTIONS, {"stream": True}).body == OPTIONS  # another value


def test_a_temperature_that_we_have_added_is_taken_back_and_one_that_the_caller_sent_is_not(
    refused: RefusedParameters,
) -> None:
    error = says("invalid temperature: only 1 is allowed for this model")
    assert learn(refused, {"temperature": 0.7}, error, own={}) == {}
    assert not adapted(refused, {"temperature": 0.5}).leave_out(error)


@pytest.mark.parametrize(
    "error",
    [
        says("Invalid value: 'stream_options'. Supported values are: 'system' and 'user'.", param="messages[0].role"),
        says("messages: at least one is required"),
        says("The prompt is too long: 9000 tokens, stream_options"),
        says("stream_options", status=429),
        says("stream_options", status=401),
        read_error({"detail": [{"loc": ["body", "messages"], "msg": "no", "input": OPTIONS}]}, http_status=422),
    ],
)
def test_an_error_that_is_about_something_else_is_the_callers(refused: RefusedParameters, error: UpstreamError) -> None:
    body: Json = {"messages": [], **OPTIONS}
    assert not adapted(refused, body, {"messages": [], "stream": True}).leave_out(error)


def test_a_stream_that_the_caller_did_not_ask_for_is_taken_back(refused: RefusedParameters) -> None:
    for error in (says("'stream' must be false"), says("This model does not support streaming")):
        assert learn(RefusedParameters(clock=Clock()), {"n": 1, **OPTIONS}, error, own={"n": 1}) == {"n": 1}
        assert not adapted(refused, OPTIONS, {"stream": True}).leave_out(error)


def test_each_refusal_changes_the_body_so_that_asking_again_comes_to_an_end(refused: RefusedParameters) -> None:
    body = adapted(refused, {"temperature": 0.7, "max_tokens": 5, **OPTIONS}, {"max_tokens": 5, "stream": True})
    for _ in range(10):
        before = dict(body.body)
        changed = [body.leave_out(error) for error in (*REFUSALS, refusal("temperature"), refusal("max_tokens"))]
        assert any(changed) == (body.body != before)
    assert body.body == {"max_completion_tokens": 5, "stream": True}


# How much is remembered, and for how long


def test_it_is_forgotten_after_a_while(refused: RefusedParameters, clock: Clock) -> None:
    learn(refused, {"temperature": 0.7}, refusal("temperature"))
    clock.now += REMEMBERED_SECONDS - 1
    assert adapted(refused, {"temperature": 0.7}).body == {}
    clock.now += 1
    assert adapted(refused, {"temperature": 0.7}).body == {"temperature": 0.7}
    assert refused.names() == {}


def test_so_many_values_are_remembered_and_the_latest_in_any_case(refused: RefusedParameters) -> None:
    for number in range(MAX_VALUES + 5):
        learn(refused, {"temperature": number}, refusal("temperature", value_only=True))
        assert adapted(refused, {"temperature": number}).body == {}
    assert adapted(refused, {"temperature": 0}).body == {"temperature": 0}


def test_so_many_models_are_remembered(refused: RefusedParameters) -> None:
    for number in range(MAX_MODELS + 5):
        refused.learn(ModelRef("openai", str(number)), "temperature", 1)
    assert len(refused.names()) == MAX_MODELS


def test_the_names_are_shown_and_no_values(refused: RefusedParameters) -> None:
    learn(refused, {"user": "a secret"}, refusal("user"))
    learn(refused, {"max_tokens": 5}, refusal("max_tokens"))
    assert refused.names() == {MODEL: ["max_tokens", "user"]}
