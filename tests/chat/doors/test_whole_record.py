"""The whole answer of every call is on record, whatever it says and however it ended."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import CallContent, CallRecord
from chat.record.content import said
from llm.simulator import Behaviour, SimulatorThread
from tests.support.openai_sdk import WEATHER
from tests.support.upstreams.wire_answers import chat_chunk, chat_whole, chunk, streamed, whole
from tests.support.upstreams.wire_replay import WireUpstream
from tests.support.waiting import eventually

ReplayedSite = Callable[..., tuple[httpx2.Client, WireUpstream]]
StartSite = Callable[..., httpx2.Client]
HELLO = [{"role": "user", "content": "Hi"}]
SOUND = b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(200)
SOUND_TEXT = base64.b64encode(SOUND).decode()
SOUND_MARK = f"data:audio/wav;sha256={hashlib.sha256(SOUND).hexdigest()};size={len(SOUND)},"
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
CARD = "4111111111111111"


def ask(client: httpx2.Client, model: str = "odd", **fields: Any) -> httpx2.Response:
    return client.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **fields})


def record_of(client: httpx2.Client, answer: httpx2.Response) -> dict[str, Any]:
    return dict(client.get(f"/calls/{answer.headers['x-request-id']}").json())


def odd(message: dict[str, Any], finish_reason: str = "stop", **fields: Any) -> dict[str, Any]:
    return {"odd": whole(chat_whole(message, finish_reason, **fields))}


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": "Hello"}, "Hello"),
        ({"content": None, "tool_calls": [CALL]}, 'called get_weather({"city":"Oslo"})'),
        ({"content": None, "refusal": "I can't."}, "refused: I can't."),
        ({"content": "Hello", "reasoning_content": "They greet me."}, "Hello"),
        ({"content": '{"a":1}'}, '{"a":1}'),
        (
            {"content": "See", "images": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]},
            "See\nan image (https://a/b.png)",
        ),
    ],
)
def test_an_answer_is_kept_as_it_was(replayed_site: ReplayedSite, message: dict[str, Any], content: str) -> None:
    client, _ = replayed_site(odd(message))
    answer = ask(client)
    record = record_of(client, answer)
    assert record["answer"] == answer.json() == chat_whole(message)
    assert record["content"] == content


def test_all_choices_are_kept_and_a_stream_s_answer_is_put_together(client: httpx2.Client) -> None:
    for stream in (False, True):
        record = record_of(client, ask(client, "gpt-4o", n=2, stream=stream))
        choices = record["answer"]["choices"]
        assert [choice["index"] for choice in choices] == [0, 1]
        texts = [choice["message"]["content"] for choice in choices]
        assert record["content"] == f"2 choices: {' | '.join(texts)}"
        assert all(texts)


def test_a_streamed_tool_call_is_kept_whole_and_found_by_a_word_in_its_arguments(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("caller", Behaviour(tool_call=True))
    record = record_of(client, ask(client, "caller", stream=True, tools=[WEATHER]))
    [call] = record["answer"]["choices"][0]["message"]["tool_calls"]
    function = call["function"]
    assert record["content"] == f"called {function['name']}({function['arguments']})"
    assert json.loads(function["arguments"])
    assert CallRecord.objects.filter(said(function["arguments"])).count() == 1


def test_a_response_and_a_text_completion_are_kept(client: httpx2.Client) -> None:
    for stream in (False, True):
        answer = client.post("/v1/responses", json={"model": "gpt-4o", "input": "Hi", "stream": stream})
        record = record_of(client, answer)
        [item] = record["answer"]["output"]
        assert record["content"] == item["content"][0]["text"] != ""
        answer = client.post("/v1/completions", json={"model": "gpt-4o", "prompt": "Hi", "stream": stream})
        record = record_of(client, answer)
        assert record["content"] == record["answer"]["choices"][0]["text"] != ""


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_of_embeddings_only_their_number_is_kept(client: httpx2.Client, encoding: str) -> None:
    body = {"model": "text-embedding-3-small", "input": ["a", "b"], "encoding_format": encoding}
    answer = client.post("/v1/embeddings", json=body)
    [first, _] = answer.json()["data"]
    size = len(first["embedding"]) if encoding == "float" else len(base64.b64decode(first["embedding"])) // 4
    record = record_of(client, answer)
    assert "data" not in record["answer"]
    assert (record["answer"]["vectors"], record["answer"]["dimensions"]) == (2, size)
    assert record["content"] == f"2 vectors of {size:,} numbers"


def test_sound_is_kept_by_its_hash_in_the_question_and_in_the_answer(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(odd({"content": None, "audio": {"data": SOUND_TEXT, "transcript": "Hi"}}))
    part = {"type": "input_audio", "input_audio": {"data": SOUND_TEXT, "format": "wav"}}
    answer = ask(client, messages=[{"role": "user", "content": [part]}])
    assert answer.json()["choices"][0]["message"]["audio"]["data"] == SOUND_TEXT
    assert upstream.seen[0].body["messages"][0]["content"] == [part]
    record = record_of(client, answer)
    assert record["answer"]["choices"][0]["message"]["audio"]["data"] == SOUND_MARK
    assert record["messages"][0]["content"][0]["input_audio"] == {"data": SOUND_MARK, "format": "wav"}
    assert record["content"] == f"audio (wav, {len(SOUND)} B): Hi"
    assert SOUND_TEXT not in str(CallContent.objects.values().get())


def test_a_stored_completion_has_its_sound_and_one_that_is_only_listed_has_the_hash(
    replayed_site: ReplayedSite,
) -> None:
    message = {"content": None, "audio": {"data": SOUND_TEXT, "transcript": "Hi"}}
    models = {name: whole(chat_whole(message, id=f"chatcmpl-{name}")) for name in ("stored", "listed")}
    client, _ = replayed_site(models, STORED_COMPLETIONS="all")
    ask(client, "stored", store=True)
    ask(client, "listed")
    stored, listed = (client.get(f"/v1/chat/completions/chatcmpl-{name}").json() for name in models)
    assert stored["choices"][0]["message"]["audio"]["data"] == SOUND_TEXT
    assert listed["choices"][0]["message"]["audio"]["data"] == SOUND_MARK


def test_what_is_listed_as_stored_depends_on_the_setting_and_what_is_kept_does_not(start_site: StartSite) -> None:
    client = start_site(STORED_COMPLETIONS="asked")
    answer = ask(client, "gpt-4o")
    assert record_of(client, answer)["answer"] == answer.json()
    assert client.get("/v1/chat/completions").json()["data"] == []
    assert client.get(f"/v1/chat/completions/{answer.json()['id']}").status_code == 404


def test_of_an_answer_that_is_too_large_the_text_is_kept_and_a_stored_one_can_still_be_read(
    replayed_site: ReplayedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.record.kept.answers.MAX_ANSWER_BYTES", 20_000)
    monkeypatch.setattr("chat.record.kept.answers.MAX_STORED_BYTES", 20_000)
    client, _ = replayed_site(odd({"content": "long " * 10, "reasoning_content": "thought " * 10_000}))
    for store in (False, True):
        record = record_of(client, ask(client, store=store))
        assert record["answer"].pop("usage")
        assert record["answer"] == {
            "id": "chatcmpl-good",
            "object": "chat.completion",
            "created": 1,
            "model": "good",
            "text_only": True,
        }
        assert record["content"] == "long " * 10
    stored = client.get("/v1/chat/completions/chatcmpl-good").json()
    assert stored["choices"][0]["message"]["content"] == "long " * 10
    assert "text_only" not in stored


def test_a_stream_that_breaks_keeps_what_had_come_and_is_no_stored_completion(replayed_site: ReplayedSite) -> None:
    pieces = [
        chat_chunk({"role": "assistant", "content": "Let me"}),
        chat_chunk({"tool_calls": [{"index": 0, **CALL, "function": {"name": "look", "arguments": '{"a'}}]}),
    ]
    texts = [f"data: {json.dumps(piece)}\n\n" for piece in pieces]
    head = {
        "send": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    }
    client, _ = replayed_site({"odd": [head, *map(chunk, texts)]})
    record = record_of(client, ask(client, stream=True, store=True))
    assert record["status"] == "failed"
    assert record["content"] == 'Let me\ncalled look({"a)'
    assert record["answer"]["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a'
    assert client.get("/v1/chat/completions/chatcmpl-good").status_code == 404


def test_a_race_that_is_cancelled_keeps_the_tool_call_of_the_racer_that_was_furthest(
    replayed_site: ReplayedSite,
) -> None:
    begun = chat_chunk({"role": "assistant", "tool_calls": [{"index": 0, **CALL}]})
    steps = streamed(begun, done=False)[:2]
    client, _ = replayed_site({"odd": [*steps, {"wait": 30}], "mute": [{"wait": 30}]})

    def leave() -> None:
        with pytest.raises(httpx2.TimeoutException):
            client.post("/v1/chat/completions", json={"model": "odd|mute", "messages": HELLO}, timeout=1)

    leaving = threading.Thread(target=leave)
    leaving.start()
    leaving.join()
    eventually(lambda: CallRecord.objects.filter(status="cancelled").exists())
    record = client.get(f"/calls/{CallRecord.objects.get().request_id}").json()
    assert record["content"] == 'called get_weather({"city":"Oslo"})'
    assert record["answer"]["choices"][0]["message"]["tool_calls"][0]["id"] == "call_1"
    assert (record["model_used"], record["completion_id"]) == ("odd", "chatcmpl-good")


def test_a_default_message_is_no_answer_of_an_upstream(client: httpx2.Client) -> None:
    for stream in (False, True):
        answer = ask(client, "sim-500", stream=stream, store=True, **{"x-default-message": "Sorry."})
        record = record_of(client, answer)
        assert (record["status"], record["content"]) == ("defaulted", "Sorry.")
        assert (record["answer"], record["completion_id"]) == (None, "")


def test_an_answer_from_the_cache_is_kept_and_not_listed_twice(client: httpx2.Client) -> None:
    first, second = (ask(client, "gpt-4o", store=True, **{"x-cache-ttl": 60}) for _ in range(2))
    assert record_of(client, second)["cached"] is True
    assert record_of(client, second)["answer"] == record_of(client, first)["answer"] == first.json()
    assert len(client.get("/v1/chat/completions").json()["data"]) == 1


def test_without_content_no_answer_is_kept(start_site: StartSite) -> None:
    client = start_site(STORE_CONTENT=False)
    record = record_of(client, ask(client, "gpt-4o", store=True))
    assert (record["answer"], record["content"]) == (None, None)
    assert not CallContent.objects.exists()


def test_every_part_of_an_answer_is_redacted(replayed_site: ReplayedSite) -> None:
    call = {**CALL, "function": {"name": "pay", "arguments": json.dumps({"card": CARD})}}
    message = {"content": f"Card {CARD}", "reasoning_content": f"{CARD}?", "tool_calls": [call], "refusal": CARD}
    spelled = {"content": [{"token": CARD, "logprob": -1}]}
    answer = chat_whole(message, "tool_calls")
    answer["choices"][0]["logprobs"] = spelled
    client, _ = replayed_site({"odd": whole(answer)}, REDACT_PATTERNS=(re.compile(r"\d{16}"),))
    assert ask(client).json() == answer
    assert CARD not in str(CallContent.objects.values().get())
    kept = CallContent.objects.get().answer["choices"][0]["message"]
    assert kept["tool_calls"][0]["function"]["arguments"] == '{"card":"[redacted]"}'


def test_a_row_of_an_earlier_version_is_readable(client: httpx2.Client) -> None:
    call = CallRecord.objects.create(
        request_id="req_old", door="openai", status="succeeded", completion_id="chatcmpl-old", stored=True
    )
    CallContent.objects.create(call=call, content="Hello", messages=HELLO)
    record = client.get("/calls/req_old").json()
    assert (record["answer"], record["content"]) == (None, "Hello")
    assert client.get("/v1/chat/completions/chatcmpl-old").status_code == 404


def test_the_native_doors_answer_as_before(replayed_site: ReplayedSite) -> None:
    client, _ = replayed_site(odd({"content": None, "refusal": "I can't."}))
    answer = client.post("/chat", json={"prompt": "Hi", "model": "odd"})
    assert answer.json()["content"] == "I can't."
    assert record_of(client, answer)["content"] == "refused: I can't."
