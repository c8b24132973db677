"""When an answer is at its end, and when it is none: choices that are still to come, failures inside of choices, and
answers that say nothing.

Sources: the files in tests/cases/wire.
"""

from __future__ import annotations

import json

import pytest

from tests.chat.doors.wire import (
    MESSAGES,
    Json,
    ReplayedSite,
    chunks,
    completion,
    events,
    last_call,
    native,
    played,
    statuses,
    streamed_text,
)
from tests.llm.operations.accumulation.streams import chat
from tests.support.upstreams.wire_answers import GOOD_TEXT, USAGE, chat_chunk, chat_whole, streamed, whole
from tests.support.upstreams.wire_replay import Playing, Step

USAGE_CHUNK: Json = {**chat_chunk({}), "choices": [], "usage": USAGE}


def text_piece(index: int, text: str, reason: str | None = None) -> Json:
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def test_a_second_choice_that_comes_late_is_waited_for(replayed_site: ReplayedSite) -> None:
    client, _ = replayed_site(played("second-choice-comes-later"))
    joined = chat(*chunks(client, "two", n=2))
    assert [choice["message"]["content"] for choice in joined["choices"]] == ["one", "two"]
    call = last_call()
    assert (call.status, call.body.content, call.finish_reason) == ("succeeded", "2 choices: one | two", "stop")


def test_a_stream_that_goes_on_after_a_finish_reason_is_not_at_its_end(replayed_site: ReplayedSite) -> None:
    """Some servers run a tool themselves after `tool_calls`, and then go on in the same stream."""
    steps = streamed(chat_chunk({"content": "One moment. "}), chat_chunk({}, "tool_calls"), done=False)[:-1]
    steps += [{"wait": 6.0}, *streamed(chat_chunk({"content": "42"}), chat_chunk({}, "stop"), USAGE_CHUNK)[1:]]
    client, _ = replayed_site({"agent": steps})
    assert streamed_text(client, "agent") == "One moment. 42"
    call = last_call()
    assert (call.status, call.body.content, call.finish_reason) == ("succeeded", "One moment. 42", "stop")
    assert call.prompt_tokens == USAGE["prompt_tokens"]


def test_a_stream_that_was_cut_after_it_had_gone_on_is_no_success(replayed_site: ReplayedSite) -> None:
    said = [chat_chunk({"content": "One. "}), chat_chunk({}, "tool_calls"), chat_chunk({"content": "Tw"})]
    client, _ = replayed_site({"agent": streamed(*said, done=False)}, MAX_RETRIES=0)
    client.post("/chat/stream", json={"prompt": "hi", "model": "agent"})
    assert statuses() == [("agent", "failed", "stream_interrupted")]


@pytest.mark.parametrize("prompt", [["a", "b"], [[1, 2], [3]]])
def test_each_prompt_of_a_text_completion_is_answered_before_its_stream_is_whole(
    replayed_site: ReplayedSite, prompt: object
) -> None:
    one = [text_piece(0, "one"), text_piece(0, "", "stop")]
    two = [text_piece(1, "two"), text_piece(1, "", "stop")]
    client, _ = replayed_site({"both": streamed(*one, *two, done=False), "cut": streamed(*one, done=False)})
    asked = {"prompt": prompt, "stream": True}
    client.post("/v1/completions", json={"model": "both", **asked})
    assert statuses() == [("both", "succeeded", "")]
    client.post("/v1/completions", json={"model": "cut", **asked})
    assert statuses() == [("cut", "failed", "stream_interrupted")]
    client.post("/v1/completions", json={"model": "cut", "prompt": [1, 2], "stream": True})
    assert statuses() == [("cut", "succeeded", "")], "a list of tokens is one prompt"


def test_a_stream_that_has_one_of_two_choices_is_cut_alone_and_in_a_race(replayed_site: ReplayedSite) -> None:
    steps = streamed(chat_chunk({"content": "one"}), chat_chunk({}, "stop"), done=False)
    client, _ = replayed_site({"half": steps}, MAX_RETRIES=0)
    client.post("/v1/chat/completions", json={"model": "half", "messages": MESSAGES, "n": 2, "stream": True})
    assert statuses() == [("half", "failed", "stream_interrupted")]
    completion(client, "half|slow", n=2)
    assert ("half", "failed", "stream_interrupted") in statuses()


def test_the_finish_reason_on_record_is_that_of_the_text_on_record(replayed_site: ReplayedSite) -> None:
    second = {"index": 1, "delta": {"content": "two"}, "finish_reason": "length"}
    said = [chat_chunk({"content": "one"}), {**chat_chunk({}), "choices": [second]}, chat_chunk({}, "stop")]
    client, _ = replayed_site({"m": streamed(*said)})
    chunks(client, "m", n=2)
    assert (last_call().body.content, last_call().finish_reason) == ("2 choices: one | two", "stop")


# Failures


@pytest.mark.parametrize("model", ["dead", "dead-stream"])
def test_an_answer_that_says_that_it_failed_goes_to_the_next_model(replayed_site: ReplayedSite, model: str) -> None:
    client, _ = replayed_site(played("finish-reason-error"), MAX_RETRIES=0)
    answer = native(client, "/chat/fallback", model=f"{model}>good")
    assert (answer["content"], answer["model_used"]) == (GOOD_TEXT, "good")
    assert statuses() == [(model, "failed", "upstream_failed"), ("good", "succeeded", "")]
    assert native(client, "/chat/parallel", models=[model, "slow"])["model_used"] == "slow"
    assert completion(client, f"{model}>good")["choices"][0]["message"]["content"] == GOOD_TEXT
    if model == "dead":
        failed = last_call().attempts.get(ordinal=0)
        assert failed.completion_tokens == 5, "it was paid for"
        assert "Provider returned error" in failed.error_message


def test_a_stream_that_has_begun_and_says_that_it_failed_is_told_and_recorded(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(played("finish-reason-error"))
    native_stream = client.post("/chat/stream", json={"prompt": "hi", "model": "dead-stream>good"})
    assert "event: error" in native_stream.text
    assert "[DONE]" not in native_stream.text
    call = last_call()
    assert (call.status, call.error_code, call.body.content) == ("failed", "upstream_failed", "half")
    stream = client.post(
        "/v1/chat/completions", json={"model": "dead-stream>good", "messages": MESSAGES, "stream": True}
    )
    assert "upstream_failed" in events(stream)[-1]
    assert (last_call().status, upstream.count("good")) == ("failed", 0)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    "end",
    [
        {"finish_reason": "error", "error": {"code": 429, "message": "Rate limit exceeded"}},
        {"finish_reason": None, "error": {"code": 429, "message": "Rate limit exceeded"}},
    ],
)
def test_an_error_inside_a_choice_is_that_error(replayed_site: ReplayedSite, end: Json, begun: bool) -> None:
    last = {**chat_chunk({}), "choices": [{"index": 0, "delta": {}, **end}]}
    said = [chat_chunk({"role": "assistant", "content": "half" if begun else ""}), last]
    client, _ = replayed_site({"m": streamed(*said)}, MAX_RETRIES=0)
    response = client.post("/chat/stream", json={"prompt": "hi", "model": "m>good"})
    assert ("event: error" in response.text) is begun
    assert statuses()[0] == ("m", "failed", "upstream_rate_limited")
    assert last_call().status == ("failed" if begun else "succeeded")


def test_a_text_completion_that_says_that_it_failed_is_a_failure(replayed_site: ReplayedSite) -> None:
    answer: Json = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [text_piece(0, "half", "error")["choices"][0]],
    }
    client, _ = replayed_site({"m": whole(answer), "s": streamed(text_piece(0, "", "error"))}, MAX_RETRIES=0)
    assert client.post("/v1/completions", json={"model": "m>good", "prompt": "hi"}).json()["id"] == "cmpl-good"
    stream = client.post("/v1/completions", json={"model": "s>good", "prompt": "hi", "stream": True})
    assert "cmpl-good" in stream.text


# Answers that say nothing


EMPTY: dict[str, Playing] = {
    **played("thoughts-without-an-answer"),
    "empty": whole(chat_whole({"content": ""})),
    "empty-stream": streamed(chat_chunk({"role": "assistant", "content": ""}), chat_chunk({}, "stop"), USAGE_CHUNK),
    "thinks-stream": streamed(
        chat_chunk({"role": "assistant", "reasoning_content": "Let me think."}), chat_chunk({}, "stop"), USAGE_CHUNK
    ),
    "done": streamed(chat_chunk({"role": "assistant", "content": ""})),
}


@pytest.mark.parametrize("model", EMPTY)
def test_after_an_answer_that_says_nothing_the_next_model_is_asked(replayed_site: ReplayedSite, model: str) -> None:
    client, upstream = replayed_site(EMPTY, BREAKER_FAILURES=1, MAX_RETRIES=2)
    answer = native(client, "/chat/fallback", model=f"{model}>good")
    assert (answer["content"], answer["fallback_triggered"]) == (GOOD_TEXT, True)
    assert statuses() == [(model, "failed", "empty_answer"), ("good", "succeeded", "")]
    assert streamed_text(client, f"{model}>good") == GOOD_TEXT
    assert native(client, "/chat/parallel", models=[model, "slow"])["model_used"] == "slow"
    assert completion(client, f"{model}>good")["choices"][0]["message"]["content"] == GOOD_TEXT
    assert upstream.count(model) == 4, "never again, and never skipped by a breaker"


@pytest.mark.parametrize("model", EMPTY)
def test_where_no_other_model_is_left_the_empty_answer_is_the_answer(replayed_site: ReplayedSite, model: str) -> None:
    client, upstream = replayed_site(EMPTY, BREAKER_FAILURES=1, MAX_RETRIES=2)
    answer = native(client, "/chat", model=model)
    assert (answer["content"], answer["model_used"], answer["is_default_message"]) == ("", model, False)
    call = last_call()
    assert (call.status, call.error_code, call.http_status) == ("succeeded", "", 200)
    assert statuses() == [(model, "succeeded", "")]
    assert streamed_text(client, model) == ""
    assert completion(client, model)["choices"][0]["message"]["role"] == "assistant"
    assert chat(*chunks(client, model))["choices"][0]["message"]["role"] == "assistant"
    assert upstream.count(model) == 4


def test_a_default_message_that_was_asked_for_stands_in_for_an_empty_answer(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(EMPTY, DEFAULT_MESSAGE="Sorry.")
    answer = native(client, "/chat/fallback", model="thinks>empty")
    assert (answer["content"], answer["is_default_message"]) == ("Sorry.", True)
    assert (last_call().status, last_call().error_code) == ("defaulted", "empty_answer")
    assert streamed_text(client, "empty-stream", default_message="Later.") == "Later."
    assert (upstream.count("thinks"), upstream.count("empty")) == (1, 1)


@pytest.mark.parametrize(
    ("reason", "body"), [("length", {}), ("content_filter", {}), ("stop", {"stop": ["."]}), ("stop", {"stop": "."})]
)
def test_an_empty_answer_that_is_explained_is_an_answer_like_any_other(
    replayed_site: ReplayedSite, reason: str, body: Json
) -> None:
    models: dict[str, list[Step]] = {
        "whole": whole(chat_whole({"content": ""}, reason)),
        "stream": streamed(chat_chunk({"content": ""}), chat_chunk({}, reason), USAGE_CHUNK),
    }
    client, upstream = replayed_site(models)
    assert native(client, "/chat/fallback", model="whole>good", **body)["finish_reason"] == reason
    assert streamed_text(client, "stream>good", **body) == ""
    assert native(client, "/chat/parallel", models=["stream", "slow"], **body)["model_used"] == "stream"
    assert upstream.count("good") == 0


def test_a_caller_who_sees_thoughts_gets_them_as_they_come(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(EMPTY)
    said = chat(*chunks(client, "thinks-stream>good"))
    assert said["choices"][0]["message"]["reasoning_content"] == "Let me think."
    assert upstream.count("good") == 0


def test_a_response_and_a_text_completion_that_say_nothing_go_to_the_next_model(replayed_site: ReplayedSite) -> None:
    thoughts = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    response: Json = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    response |= {"output": [thoughts], "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}}
    text = text_piece(0, "", "stop")
    client, _ = replayed_site({"response": whole(response), "text": whole(text), "stream": streamed(text)})
    assert client.post("/v1/responses", json={"model": "response>good", "input": "hi"}).json()["id"] == "resp_good"
    assert statuses()[0] == ("response", "failed", "empty_answer")
    assert client.post("/v1/completions", json={"model": "text>good", "prompt": "hi"}).json()["id"] == "cmpl-good"
    stream = client.post("/v1/completions", json={"model": "stream>good", "prompt": "hi", "stream": True})
    assert json.loads(events(stream)[0])["id"] == "cmpl-good"
    assert client.post("/v1/responses", json={"model": "response", "input": "hi"}).json() == response


def test_an_empty_answer_is_not_kept_for_the_next_caller(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(EMPTY)
    for _ in range(2):
        assert native(client, "/chat", model="empty", cache_ttl=60)["content"] == ""
    assert upstream.count("empty") == 2
