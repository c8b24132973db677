"""Faults as real upstreams state them (tests/cases/wire): the cause is read, and the next model is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.upstreams.wire_answers import GOOD_TEXT, good, whole
from tests.support.upstreams.wire_asking import (
    CHAT,
    TEXT_DOORS,
    ReplayedSite,
    ask,
    native_stream,
    openai_stream,
    record_of,
)
from tests.support.upstreams.wire_replay import WIRE_CASES, Asked, Json, Playing, Step

TOO_LONG: list[Json] = WIRE_CASES["prompt-too-long"]["upstreams"]
TOO_LONG_DOORS = [*TEXT_DOORS, ("/v1/embeddings", False)]
REFUSALS: list[Json] = WIRE_CASES["stream-options-refused"]["refusals"]
OTHER_SHAPES = {
    "whole": "maximum context length is 4096 tokens",
    "events": "maximum context length is 4096 tokens",
    "named": "temperature is too high",
    "detail": "Field required",
}


def stream_field(path: str, stream: bool) -> dict[str, Any]:
    return {"stream": True} if stream and path.startswith("/v1") else {}


@pytest.mark.parametrize(("path", "stream"), [("/chat", False), ("/chat/stream", True), (CHAT, False), (CHAT, True)])
@pytest.mark.parametrize("model", OTHER_SHAPES)
def test_the_cause_is_read_from_an_error_of_another_shape(
    replayed_site: ReplayedSite, model: str, path: str, stream: bool
) -> None:
    client, upstream = replayed_site(WIRE_CASES["errors-of-another-shape"]["upstreams"], MAX_RETRIES=1)
    answer = ask(client, path, model, **stream_field(path, stream))
    assert answer.status_code >= 400, answer.text
    error = answer.json()["error"]
    assert OTHER_SHAPES[model] in error["message"]
    call = record_of(client, answer)
    assert OTHER_SHAPES[model] in call["attempts"][0]["error_message"]
    if model in ("whole", "events"):
        assert (answer.status_code, call["error_code"]) == (400, "context_window_exceeded")
    elif model == "detail":
        assert answer.status_code in (400, 422)  # the second status is the upstream's own, under /v1
        assert call["error_code"] == "invalid_request"
    if model != "named":  # a model that says 400 is asked once. The code of `named` is no number
        assert upstream.count(model) == 1


@pytest.mark.parametrize("path", ["/chat/fallback", CHAT])
def test_a_finish_reason_of_error_is_a_failure(replayed_site: ReplayedSite, path: str) -> None:
    client, upstream = replayed_site(WIRE_CASES["finish-reason-error"]["upstreams"])
    for model in ("dead>good", "dead|slow"):
        answer = ask(client, path, model)
        assert GOOD_TEXT in answer.text, answer.text
        call = record_of(client, answer)
        assert [each["status"] for each in call["attempts"]] == ["failed", "succeeded"]
        assert "Provider returned error" in call["attempts"][0]["error_message"]
    assert (upstream.count("dead"), upstream.count("good")) == (2, 1)
    alone = ask(client, CHAT, "dead", **{"x-timeout": 5})
    assert alone.status_code == 502
    assert "Provider returned error" in alone.json()["error"]["message"]


def test_a_stream_that_has_begun_and_ends_in_error_is_told_and_recorded(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["finish-reason-error"]["upstreams"])
    native, passed_on = (
        ask(client, "/chat/stream", "dead-stream>good"),
        ask(client, CHAT, "dead-stream>good", stream=True),
    )
    for answer, stream in ((native, native_stream(native)), (passed_on, openai_stream(passed_on))):
        assert (stream.text, stream.done) == ("half", False)
        assert stream.error is not None
        call = record_of(client, answer)
        assert (call["status"], call["content"]) == ("failed", "half")
    raced = ask(client, "/chat/parallel", "dead-stream|slow")
    assert raced.json()["content"] == GOOD_TEXT
    assert (upstream.count("dead-stream"), upstream.count("good")) == (3, 0)


@pytest.mark.parametrize("case", TOO_LONG, ids=[f"{number} {case['server']}" for number, case in enumerate(TOO_LONG)])
def test_a_prompt_that_is_too_long_goes_to_the_next_model(replayed_site: ReplayedSite, case: Json) -> None:
    error = case.get("error") or {"message": case["message"], "type": "invalid_request_error", "code": case["status"]}
    refused = whole({"error": error}, case["status"])
    client, upstream = replayed_site({"this": refused}, BREAKER_FAILURES=1, MAX_RETRIES=2)
    for asked, (path, stream) in enumerate(TOO_LONG_DOORS, 1):
        answer = ask(client, path, "this>wide", **stream_field(path, stream))
        assert answer.status_code == 200, (path, answer.text)
        first, second = record_of(client, answer)["attempts"]
        assert (first["error_code"], second["status"]) == ("context_window_exceeded", "succeeded"), path
        assert upstream.count("this") == upstream.count("wide") == asked, path
    native = ask(client, "/chat", "this")
    assert (native.status_code, native.json()["error"]["code"]) == (400, "context_window_exceeded")
    assert error["message"] in native.json()["error"]["message"]
    assert error["message"] in ask(client, CHAT, "this").json()["error"]["message"]
    assert upstream.count("this") == len(TOO_LONG_DOORS) + 2


def good_without_stream_options(refusal: Json) -> Playing:
    def play(asked: Asked) -> Sequence[Step]:
        return whole(refusal["body"], refusal["status"]) if "stream_options" in asked.body else good(asked)

    return play


@pytest.mark.parametrize("refusal", REFUSALS, ids=[json.dumps(refusal["body"])[:60] for refusal in REFUSALS])
def test_what_the_service_has_added_it_takes_back(replayed_site: ReplayedSite, refusal: Json) -> None:
    models = {name: good_without_stream_options(refusal) for name in ("this", "raced", "chained")}
    client, upstream = replayed_site(models)
    for asked in (2, 3):  # the second time, the service remembers what was refused
        answer = ask(client, CHAT, "this", stream=True)
        assert (openai_stream(answer).text, openai_stream(answer).done) == (GOOD_TEXT, True)
        raced = ask(client, "/chat/parallel", "raced|slow")
        assert (raced.json()["content"], raced.json()["model_used"]) == (GOOD_TEXT, "raced")
        chained = ask(client, "/chat/stream", "chained>good")
        assert native_stream(chained).text == GOOD_TEXT
        assert record_of(client, chained)["model_used"] == "chained"
        assert {upstream.count(name) for name in models} == {asked}
    assert upstream.count("good") == 0


def test_thoughts_without_an_answer_go_to_the_next_model(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["thoughts-without-an-answer"]["upstreams"])
    answer = ask(client, "/chat/fallback", "thinks>good")
    assert (answer.json()["content"], answer.json()["model_used"]) == (GOOD_TEXT, "good")
    first = record_of(client, answer)["attempts"][0]
    assert first["status"] == "failed"
    assert (first["prompt_tokens"], first["completion_tokens"]) == (10, 5)
    streamed = ask(client, "/chat/stream", "thinks>good")
    assert native_stream(streamed).text == GOOD_TEXT
    assert upstream.count("thinks") == 2
