"""Answers as real upstreams send them (tests/cases/wire): what the caller gets is good, and so is the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.upstreams.wire_answers import chat_chunk, streamed
from tests.support.upstreams.wire_asking import (
    CHAT,
    ReplayedSite,
    ask,
    native_stream,
    openai_stream,
    record_of,
    said,
    text_at,
)
from tests.support.upstreams.wire_replay import WIRE_CASES, Json

TOOL_A = ("call_a", "get_weather", '{"city":"Oslo"}')
TOOL_B = ("call_b", "get_time", '{"zone":"UTC"}')
ORDERS = {
    "parts, then text": WIRE_CASES["content-parts-then-text"]["upstreams"]["parts"],
    "text, then parts": streamed(
        chat_chunk({"role": "assistant", "content": "The answer"}),
        chat_chunk({"content": [{"type": "text", "text": " is "}]}),
        chat_chunk({"content": "42"}, "stop"),
    ),
}


def message_of(answer: httpx2.Response) -> Json:
    assert answer.status_code == 200, answer.text
    message: Json = answer.json()["choices"][0]["message"]
    return message


def tools_of(message: Json) -> list[tuple[Any, ...]]:
    return [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message["tool_calls"]]


def test_every_case_is_played_by_a_test() -> None:
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_wire_*.py"))
    assert WIRE_CASES
    assert [name for name in WIRE_CASES if f'WIRE_CASES["{name}"]' not in tests] == []


@pytest.mark.parametrize("steps", ORDERS.values(), ids=ORDERS)
def test_the_text_of_mixed_content_is_never_lost(replayed_site: ReplayedSite, steps: list[Json]) -> None:
    client, upstream = replayed_site({"this": steps})
    native = ask(client, "/chat/parallel", "this|slow")
    assert native.json()["content"] == "The answer is 42", native.text
    assert record_of(client, native)["content"] == "The answer is 42"
    raced = ask(client, CHAT, "this|slow")
    assert said(message_of(raced)) == "The answer is 42"
    assert message_of(raced)["role"] == "assistant"
    assert record_of(client, raced)["content"] == "The answer is 42"
    passed_on = ask(client, "/chat/stream", "this")
    assert native_stream(passed_on).text == "The answer is 42"
    assert record_of(client, passed_on)["content"] == "The answer is 42"
    assert upstream.count("this") == 3


def test_a_last_frame_that_repeats_the_whole_message_adds_no_text(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["full-message-at-the-end"]["upstreams"])
    answer = ask(client, "/chat/stream", "full")
    assert (native_stream(answer).text, native_stream(answer).done) == ("Hello", True)
    assert record_of(client, answer)["content"] == "Hello"
    raced = ask(client, "/chat/parallel", "full|slow")
    assert raced.json()["content"] == "Hello"
    assert said(message_of(ask(client, CHAT, "full|slow"))) == "Hello"
    stored = ask(client, CHAT, "full", stream=True, store=True)
    assert record_of(client, stored)["content"] == "Hello"
    assert upstream.count("full") == 4


@pytest.mark.parametrize("model", ["none", "empty"])
def test_done_ends_a_stream_without_a_finish_reason(replayed_site: ReplayedSite, model: str) -> None:
    client, upstream = replayed_site(WIRE_CASES["no-finish-reason"]["upstreams"])
    native = ask(client, "/chat/stream", model)
    assert (native_stream(native).text, native_stream(native).done) == ("Hello there", True)
    passed_on = ask(client, CHAT, model, stream=True)
    assert (openai_stream(passed_on).text, openai_stream(passed_on).done) == ("Hello there", True)
    raced = ask(client, "/chat/parallel", f"{model}|slow")
    assert raced.json()["content"] == "Hello there", raced.text
    for answer in (native, passed_on, raced):
        call = record_of(client, answer)
        assert (call["status"], call["content"]) == ("succeeded", "Hello there")
        assert (call["prompt_tokens"], call["completion_tokens"], call["usage_estimated"]) == (10, 5, False)
    assert upstream.count(model) == 3


def test_audio_without_a_finish_reason_is_an_answer(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["no-finish-reason"]["upstreams"])
    answer = ask(client, CHAT, "audio", stream=True)
    assert openai_stream(answer).done
    assert record_of(client, answer)["status"] == "succeeded"
    raced = ask(client, CHAT, "audio|slow")
    assert message_of(raced)["audio"] == {"id": "a", "transcript": "Hello there", "expires_at": 1700000000}
    assert upstream.count("audio") == 2


def test_a_stream_with_neither_end_is_an_error(replayed_site: ReplayedSite) -> None:
    client, _ = replayed_site(WIRE_CASES["no-finish-reason"]["upstreams"])
    native, passed_on = ask(client, "/chat/stream", "cut"), ask(client, CHAT, "cut", stream=True)
    for answer, stream in ((native, native_stream(native)), (passed_on, openai_stream(passed_on))):
        assert (stream.text, stream.done) == ("Hello", False)
        assert stream.error is not None and stream.error["code"] == "stream_interrupted"
        assert record_of(client, answer)["status"] == "failed"


def test_a_whole_answer_without_a_finish_reason_is_an_answer(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["no-finish-reason"]["upstreams"])
    assert ask(client, "/chat", "whole").json()["content"] == "Hello"
    answer = ask(client, CHAT, "whole")
    assert said(message_of(answer)) == "Hello"
    assert record_of(client, answer)["status"] == "succeeded"
    assert upstream.count("whole") == 2


def test_only_pieces_are_joined_and_repeated_values_stay(replayed_site: ReplayedSite) -> None:
    client, _ = replayed_site(WIRE_CASES["repeated-fields-glued"]["upstreams"])
    audio = message_of(ask(client, CHAT, "audio|slow"))["audio"]
    assert audio == {"id": "audio_1", "transcript": "Hello", "expires_at": 1700000000}
    message = message_of(ask(client, CHAT, "details|slow"))
    assert message["content"] == "ok"
    (detail,) = message["reasoning_details"]
    assert (detail["type"], detail["format"]) == ("reasoning.text", "anthropic-claude-v1")
    assert (detail["text"], detail["signature"]) == ("Let me", "S")


def test_a_second_choice_may_come_long_after_the_first_has_ended(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["second-choice-comes-later"]["upstreams"])
    answer = ask(client, CHAT, "two", stream=True, n=2)
    stream = openai_stream(answer)
    assert (text_at(stream.chunks, 0), text_at(stream.chunks, 1), stream.done) == ("one", "two", True)
    call = record_of(client, answer)
    assert (call["status"], call["content"], call["finish_reason"]) == ("succeeded", "2 choices: one | two", "stop")
    assert upstream.count("two") == 1


def test_a_race_waits_for_all_choices(replayed_site: ReplayedSite) -> None:
    steps = WIRE_CASES["second-choice-comes-later"]["upstreams"]["two"]
    quicker = [{"wait": 0.3} if "wait" in step else step for step in steps]
    client, _ = replayed_site({"two": quicker}, slow_seconds=5)
    answer = ask(client, CHAT, "two|slow", n=2)
    assert [said(choice["message"]) for choice in answer.json()["choices"]] == ["one", "two"]


@pytest.mark.parametrize("model", WIRE_CASES["stream-called-json"]["upstreams"])
def test_events_are_read_under_any_content_type(replayed_site: ReplayedSite, model: str) -> None:
    client, upstream = replayed_site(WIRE_CASES["stream-called-json"]["upstreams"])
    passed_on = ask(client, CHAT, model, stream=True)
    assert (openai_stream(passed_on).text, openai_stream(passed_on).done) == ("Hello", True)
    native = ask(client, "/chat/stream", model)
    assert (native_stream(native).text, native_stream(native).done) == ("Hello", True)
    raced, whole = ask(client, CHAT, f"{model}|slow"), ask(client, CHAT, model)
    assert (said(message_of(raced)), said(message_of(whole))) == ("Hello", "Hello")
    for answer in (passed_on, native, raced, whole):
        assert record_of(client, answer)["content"] == "Hello"
    assert upstream.count(model) == 4


@pytest.mark.parametrize("model", WIRE_CASES["tool-calls-no-index"]["upstreams"])
def test_pieces_of_a_tool_call_need_no_index(replayed_site: ReplayedSite, model: str) -> None:
    client, _ = replayed_site(WIRE_CASES["tool-calls-no-index"]["upstreams"])
    message = message_of(ask(client, CHAT, f"{model}|slow"))
    assert (message["role"], tools_of(message)) == ("assistant", [TOOL_A])


def test_a_new_id_beside_a_name_begins_another_tool_call(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["tool-calls-same-index"]["upstreams"])
    assert tools_of(message_of(ask(client, CHAT, "tools|slow"))) == [TOOL_A, TOOL_B]
    stored = ask(client, CHAT, "tools", stream=True, store=True)
    read_back = client.get(f"{CHAT}/{openai_stream(stored).chunks[0]['id']}")
    assert tools_of(message_of(read_back)) == [TOOL_A, TOOL_B]
    cached = [ask(client, CHAT, "tools", stream=True, **{"x-cache-ttl": 60}) for _ in range(2)]
    assert cached[1].headers["x-cached"] == "true"
    again = openai_stream(cached[1])
    pieces = [
        piece
        for chunk in again.chunks
        for choice in chunk["choices"]
        for piece in choice["delta"].get("tool_calls") or ()
    ]
    assert tools_of({"tool_calls": pieces}) == [TOOL_A, TOOL_B]
    assert [piece["index"] for piece in pieces] == [0, 1]
    assert upstream.count("tools") == 3


def test_a_whole_answer_is_taken_where_a_stream_was_asked_for(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(WIRE_CASES["upstream-does-not-stream"]["upstreams"])
    passed_on = ask(client, CHAT, "whole", stream=True)
    assert (openai_stream(passed_on).text, openai_stream(passed_on).done) == ("Hello", True)
    native = ask(client, "/chat/stream", "whole")
    assert (native_stream(native).text, native_stream(native).done) == ("Hello", True)
    raced, raced_native = ask(client, CHAT, "whole|slow"), ask(client, "/chat/parallel", "whole|slow")
    assert said(message_of(raced)) == "Hello"
    assert raced_native.json()["content"] == "Hello"
    for answer in (passed_on, native, raced, raced_native):
        call = record_of(client, answer)
        assert (call["status"], call["content"], call["finish_reason"]) == ("succeeded", "Hello", "stop")
        (attempt,) = [each for each in call["attempts"] if each["model"] == "whole"]
        assert (attempt["prompt_tokens"], attempt["completion_tokens"], attempt["usage_estimated"]) == (10, 5, False)
    assert json.loads(passed_on.text.partition("data: ")[2].partition("\n")[0])["object"] == "chat.completion.chunk"
    assert upstream.count("whole") == 4
