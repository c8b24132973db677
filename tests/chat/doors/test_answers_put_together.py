"""Answers that the service puts together from a stream: in a race, for the record, for the cache.

Each equals what a client would have put together from the same stream. Source: the files in tests/cases/wire.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chat.doors.wire import (
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
from tests.support.upstreams.wire_answers import USAGE, chat_chunk, streamed

WEATHER = {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
TIME = {"id": "call_b", "type": "function", "function": {"name": "get_time", "arguments": '{"zone":"UTC"}'}}
DETAIL = {
    "type": "reasoning.text",
    "format": "anthropic-claude-v1",
    "index": 0,
    "text": "Let me",
    "signature": "S",
}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}

# By case and upstream: the message that the stream adds up to.
MESSAGES: dict[tuple[str, str], Json] = {
    ("content-parts-then-text", "parts"): {"content": [THOUGHT, {"type": "text", "text": "The answer is 42"}]},
    ("repeated-fields-glued", "audio"): {
        "content": None,
        "audio": {"id": "audio_1", "transcript": "Hello", "expires_at": 1700000000},
    },
    ("repeated-fields-glued", "details"): {"content": "ok", "reasoning_details": [DETAIL]},
    ("tool-calls-no-index", "absent"): {"content": None, "tool_calls": [WEATHER]},
    ("tool-calls-no-index", "null"): {"content": None, "tool_calls": [WEATHER]},
    ("tool-calls-same-index", "tools"): {"content": None, "tool_calls": [WEATHER, TIME]},
    ("full-message-at-the-end", "full"): {"content": "Hello"},
    ("no-finish-reason", "none"): {"content": "Hello there"},
    ("no-finish-reason", "audio"): {
        "content": None,
        "audio": {"id": "a", "transcript": "Hello there", "expires_at": 1700000000},
    },
    ("upstream-does-not-stream", "whole"): {"content": "Hello"},
}
cases = pytest.mark.parametrize(("case", "model"), MESSAGES)


def message_of(answer: Json) -> Json:
    message: Json = answer["choices"][0]["message"]
    return message


def expected(case: str, model: str) -> Json:
    return {"role": "assistant", **MESSAGES[case, model]}


@cases
def test_a_raced_answer_is_what_the_stream_says(replayed_site: ReplayedSite, case: str, model: str) -> None:
    client, upstream = replayed_site(played(case))
    answer = completion(client, f"{model}|slow")
    assert message_of(answer) == expected(case, model)
    assert answer["object"] == "chat.completion"
    assert upstream.asked(model)[0].body["stream"] is True
    assert last_call().model_used == model


@cases
def test_a_stored_stream_is_read_back_as_its_client_put_it_together(
    replayed_site: ReplayedSite, case: str, model: str
) -> None:
    client, _ = replayed_site(played(case))
    client_has = chat(*chunks(client, model, store=True, stream_options={"include_usage": True}))
    assert message_of(client_has) == expected(case, model)
    stored = client.get(f"/v1/chat/completions/{client_has['id']}").json()
    assert stored["choices"] == client_has["choices"]
    assert stored.get("usage") == client_has.get("usage")
    for name, value in client_has.items():
        assert stored[name] == value


@cases
def test_a_cached_stream_is_the_same_answer_again(replayed_site: ReplayedSite, case: str, model: str) -> None:
    client, upstream = replayed_site(played(case))
    asked: Json = {"x-cache-ttl": 60, "stream_options": {"include_usage": True}}
    first, second = (chat(*chunks(client, model, **asked)) for _ in range(2))
    assert upstream.count(model) == 1
    assert last_call().cost_usd == 0
    assert first == second
    assert message_of(second) == expected(case, model)
    whole = completion(client, model, **{"x-cache-ttl": 60})
    assert (message_of(whole), upstream.count(model)) == (expected(case, model), 1)


# By case and upstream: the text that a reader is shown.
TEXTS = {
    ("content-parts-then-text", "parts"): "The answer is 42",
    ("full-message-at-the-end", "full"): "Hello",
    ("no-finish-reason", "none"): "Hello there",
    ("no-finish-reason", "empty"): "Hello there",
    ("upstream-does-not-stream", "whole"): "Hello",
}


@pytest.mark.parametrize(("case", "model"), TEXTS)
def test_the_native_doors_give_the_text_once_and_without_thoughts(
    replayed_site: ReplayedSite, case: str, model: str
) -> None:
    client, _ = replayed_site(played(case))
    text = TEXTS[case, model]
    assert streamed_text(client, model) == text
    assert last_call().body.content == text
    assert native(client, "/chat/parallel", models=[model, "slow"])["content"] == text
    assert last_call().body.content == text
    typed = client.post("/chat/stream", json={"prompt": "hi", "model": model, "events": "json"})
    *_, usage, done = [json.loads(data) for data in events(typed)]
    assert done["content"] == text
    assert "prompt_tokens" in usage


def test_a_character_that_was_cut_in_two_is_whole_at_every_door(replayed_site: ReplayedSite) -> None:
    # As json.dumps writes them: each half of the character is an escape of its own.
    halves = [chat_chunk({"role": "assistant", "content": text}) for text in ("a\ud83d", "\ude00b")]
    client, _ = replayed_site({"cut": streamed(*halves, chat_chunk({}, "stop"))})
    assert streamed_text(client, "cut") == "a😀b"
    assert last_call().body.content == "a😀b"
    assert message_of(completion(client, "cut|slow"))["content"] == "a😀b"
    joined = chat(*chunks(client, "cut", store=True))
    assert message_of(joined)["content"] == "a😀b"
    assert message_of(client.get(f"/v1/chat/completions/{joined['id']}").json())["content"] == "a😀b"


def test_a_text_completion_in_a_race_is_what_its_stream_says(replayed_site: ReplayedSite) -> None:
    def piece(text: str, reason: str | None = None, index: int = 0) -> Json:
        logprobs = {"tokens": [text], "token_logprobs": [-0.5]} if text else None
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}

    client, _ = replayed_site({"text": streamed(piece("Hel"), piece("lo"), piece("", "stop"))})
    answer = client.post("/v1/completions", json={"model": "text|slow", "prompt": "hi"}).json()
    logprobs = {"tokens": ["Hel", "lo"], "token_logprobs": [-0.5, -0.5]}
    assert answer["choices"] == [{"index": 0, "text": "Hello", "logprobs": logprobs, "finish_reason": "stop"}]


def test_a_response_whose_last_event_leaves_the_output_out_is_put_together(replayed_site: ReplayedSite) -> None:
    """As vLLM sends it: the last event says that the response is complete, and not what is in it."""
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": "Hello", "annotations": []}
    place = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    head: Json = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": []}
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    said: list[Json] = [
        {"type": "response.created", "response": {**head, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.output_text.delta", **place, "delta": "Hel"},
        {"type": "response.output_text.delta", **place, "delta": "lo"},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, "content": [part]}},
        {"type": "response.completed", "response": {**head, "status": "completed", "usage": usage}},
    ]
    client, _ = replayed_site({"short": streamed(*said, done=False)})
    answer = client.post("/v1/responses", json={"model": "short|slow", "input": "hi"}).json()
    assert answer["output"] == [{**item, "content": [part]}]
    assert (answer["status"], answer["usage"]) == ("completed", usage)
    assert last_call().body.content == "Hello"


def test_what_a_broken_stream_said_is_on_record(replayed_site: ReplayedSite) -> None:
    client, _ = replayed_site({"cut": streamed(chat_chunk({"content": "half"}), done=False)})
    response = client.post("/v1/chat/completions", json={"model": "cut", "stream": True, "messages": []})
    assert "stream_interrupted" in response.text
    call = last_call()
    assert (call.status, call.body.content, call.finish_reason) == ("failed", "half", "")
    assert call.usage_estimated is True


def test_usage_in_two_halves_is_put_together(replayed_site: ReplayedSite) -> None:
    client, _ = replayed_site(played("usage-that-can-not-be"))
    for model in ("halves", "then-zeros"):
        streamed_text(client, model)
        call = last_call()
        assert (call.prompt_tokens, call.completion_tokens, call.usage_estimated) == (1000, 100, False)


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_asked_once_is_on_record_once_with_its_usage(replayed_site: ReplayedSite, stream: bool) -> None:
    client, upstream = replayed_site(played("upstream-does-not-stream"))
    asked: dict[str, Any] = {"model": "whole", "messages": [], "stream": stream}
    assert client.post("/v1/chat/completions", json=asked).status_code == 200
    assert upstream.count("whole") == 1
    assert statuses() == [("whole", "succeeded", "")]
    call = last_call()
    assert call.prompt_tokens == USAGE["prompt_tokens"]
    assert (call.completion_tokens, call.usage_estimated) == (USAGE["completion_tokens"], False)
