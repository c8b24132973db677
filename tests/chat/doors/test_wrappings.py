"""Good answers in odd wrappings: each is taken, asked for once, and on record with what it cost.

Sources: the files in tests/cases/wire, and what gateways and servers are known to send.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from tests.chat.doors.wire import (
    Json,
    ReplayedSite,
    chunks,
    completion,
    last_call,
    native,
    played,
    statuses,
    streamed_text,
)
from tests.llm.operations.accumulation.streams import chat
from tests.support.upstreams.wire_answers import RESPONSE, USAGE, chat_chunk, chat_whole, chunk, sent, streamed, whole
from tests.support.upstreams.wire_replay import Playing, Step, WireUpstream

HELLO = [chat_chunk({"role": "assistant", "content": "Hello"}), chat_chunk({}, "stop")]
USAGE_CHUNK: Json = {**chat_chunk({}), "choices": [], "usage": USAGE}
EVENTS = "".join(f"data: {json.dumps(each)}\n\n" for each in (*HELLO, USAGE_CHUNK))


def assert_asked_once(upstream: WireUpstream, model: str, times: int = 1) -> None:
    assert upstream.count(model) == times
    call = last_call()
    assert (call.status, call.error_code, call.model_used) == ("succeeded", "", model)
    assert statuses()[0] == (model, "succeeded", "")


@pytest.mark.parametrize("model", ["application-json", "text-html", "text-plain", "application-octet-stream"])
def test_events_are_read_under_any_content_type(replayed_site: ReplayedSite, model: str) -> None:
    client, upstream = replayed_site(played("stream-called-json"))
    assert chat(*chunks(client, model))["choices"][0]["message"]["content"] == "Hello"
    assert_asked_once(upstream, model)
    assert streamed_text(client, model) == "Hello"
    assert completion(client, f"{model}|slow")["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
def test_events_are_read_where_json_was_asked_for(replayed_site: ReplayedSite, content_type: str) -> None:
    client, upstream = replayed_site({"m": streamed(EVENTS, content_type=content_type)})
    answer = completion(client, "m")
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    ]
    assert (answer["object"], answer["usage"]) == ("chat.completion", USAGE)
    assert_asked_once(upstream, "m")
    assert last_call().prompt_tokens == USAGE["prompt_tokens"]
    assert native(client, "/chat", model="m")["content"] == "Hello"


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain", ""])
def test_json_is_read_where_events_were_asked_for(replayed_site: ReplayedSite, content_type: str) -> None:
    body = json.dumps(chat_whole({"content": "Hello"}))
    headers = [f"Content-Type: {content_type}"] if content_type else []
    client, upstream = replayed_site({"m": [sent("200 OK", body, *headers)]})
    joined = chat(*chunks(client, "m", stream_options={"include_usage": True}))
    assert joined["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "Hello"},
        "finish_reason": "stop",
    }
    assert joined["usage"] == USAGE
    assert_asked_once(upstream, "m")
    assert streamed_text(client, "m") == "Hello"
    assert (last_call().body.content, last_call().prompt_tokens) == ("Hello", USAGE["prompt_tokens"])
    assert last_call().time_to_first_token_ms is not None


def test_a_race_takes_json_as_it_is(replayed_site: ReplayedSite) -> None:
    answer = {**chat_whole({"content": "Hello", "brand_new": [1]}), "another": {"a": None}}
    client, upstream = replayed_site({"m": whole(answer)})
    assert completion(client, "m|slow") == answer
    assert upstream.count("m") == 1


def test_json_where_events_were_asked_for_is_read_in_every_api(replayed_site: ReplayedSite) -> None:
    text: Json = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "usage": USAGE}
    text["choices"] = [{"index": 0, "text": "Hello", "finish_reason": "stop", "logprobs": None}]
    client, upstream = replayed_site({"text": whole(text), "response": whole(RESPONSE)})
    [first, *_] = chunks(client, "text", path="/v1/completions", prompt="hi")
    assert first["choices"][0]["text"] == "Hello"
    *_, last = chunks(client, "response", path="/v1/responses", input="hi")
    assert (last["type"], last["response"]["output"]) == ("response.completed", RESPONSE["output"])
    assert client.post("/v1/completions", json={"model": "text|slow", "prompt": "hi"}).json() == text
    assert client.post("/v1/responses", json={"model": "response|slow", "input": "hi"}).json() == RESPONSE
    assert (upstream.count("text"), upstream.count("response")) == (2, 2)


def test_events_where_json_was_asked_for_are_read_in_every_api(replayed_site: ReplayedSite) -> None:
    def piece(text: str, reason: str | None) -> Json:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}

    said = {"type": "response.completed", "response": RESPONSE}
    client, _ = replayed_site(
        {"text": streamed(piece("Hel", None), piece("lo", "stop")), "response": streamed(said, done=False)}
    )
    answer = client.post("/v1/completions", json={"model": "text", "prompt": "hi"}).json()
    assert answer["choices"][0]["text"] == "Hello"
    assert client.post("/v1/responses", json={"model": "response", "input": "hi"}).json() == RESPONSE


BEGUN = f"data: {json.dumps(HELLO[0])}\n\n"
ENDED = f"data: {json.dumps(HELLO[1])}\n\n"
# What else may stand in a stream, or be missing from it.
ODD_STREAMS: dict[str, list[Step]] = {
    "comments": streamed(": OPENROUTER PROCESSING\n\n", BEGUN, ": ping\n\n", ENDED),
    "null": streamed("data: null\n\n", BEGUN, "data: null\n\n", ENDED, "data: null\n\n"),
    "empty data": streamed("data:\n\n", BEGUN, "data: \n\n", ENDED),
    "empty objects": streamed("data: {}\n\n", BEGUN, "data: []\n\n", ENDED),
    "blank lines": streamed("\n\n\n\n", BEGUN, "\n\n\n", ENDED),
    "named pings": streamed("event: ping\n\n", BEGUN, "event: ping\ndata: {}\n\n", ENDED),
    "ids and retries": streamed("id: 1\nretry: 10\n" + BEGUN, "id: 2\n" + ENDED),
    "a byte order mark": streamed("\ufeff" + BEGUN, ENDED),
    "carriage returns": streamed(BEGUN.replace("\n", "\r\n"), ENDED.replace("\n", "\r\n")),
    "no blank line at the end": streamed(BEGUN, ENDED.rstrip("\n"), done=False),
    "done without its blank line": streamed(BEGUN, "data: [DONE]", done=False),
    "done after one line feed": streamed(BEGUN, ENDED.removesuffix("\n"), "data: [DONE]\n\n", done=False),
    "no space after the colon": streamed(BEGUN.replace("data: ", "data:"), ENDED.replace("data: ", "data:")),
    "no finish reason but done": streamed(BEGUN),
    "the text null as a finish reason": streamed(BEGUN.replace("null", '"null"'), ENDED),
    "one byte at a time": [streamed()[0], *map(chunk, BEGUN + ENDED), chunk("data: [DONE]\n\n"), streamed()[-1]],
    "no chunks, closed at the end": [
        {"send": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + BEGUN + ENDED}
    ],
}


@pytest.mark.parametrize("name", ODD_STREAMS)
def test_what_says_nothing_spoils_nothing(replayed_site: ReplayedSite, name: str) -> None:
    client, upstream = replayed_site({"m": ODD_STREAMS[name]})
    assert chat(*chunks(client, "m"))["choices"][0]["message"]["content"] == "Hello"
    assert_asked_once(upstream, "m")
    assert streamed_text(client, "m") == "Hello"
    assert native(client, "/chat/parallel", models=["m", "slow"])["content"] == "Hello"
    assert native(client, "/chat", model="m")["content"] == "Hello", "events where JSON was asked for"
    assert_asked_once(upstream, "m", times=4)


@pytest.mark.parametrize("model", ["none", "empty", "audio"])
def test_done_is_an_end_without_a_finish_reason(replayed_site: ReplayedSite, model: str) -> None:
    client, upstream = replayed_site(played("no-finish-reason"), BREAKER_FAILURES=1)
    chunks(client, model)
    assert_asked_once(upstream, model)
    call = last_call()
    assert (call.prompt_tokens, call.completion_tokens, call.finish_reason) == (10, 5, "")
    completion(client, f"{model}|slow")
    completion(client, model)
    assert_asked_once(upstream, model, times=3)


def test_without_done_and_without_a_finish_reason_a_stream_was_cut(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(played("no-finish-reason"), MAX_RETRIES=0)
    response = client.post("/v1/chat/completions", json={"model": "cut", "messages": [], "stream": True})
    assert "[DONE]" not in response.text
    assert statuses() == [("cut", "failed", "stream_interrupted")]
    completion(client, "cut|slow")
    assert ("cut", "failed", "stream_interrupted") in statuses()
    assert upstream.count("cut") == 2


def test_a_whole_answer_without_a_finish_reason_is_an_answer(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site(played("no-finish-reason"))
    assert completion(client, "whole")["choices"][0]["finish_reason"] is None
    assert_asked_once(upstream, "whole")
    assert native(client, "/chat", model="whole")["finish_reason"] is None
    assert last_call().prompt_tokens == 10
    assert streamed_text(client, "whole") == "Hello"


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    "message",
    [
        {"content": "", "images": [IMAGE]},
        {"content": None, "audio": {"id": "a", "data": "AAAA", "transcript": "", "expires_at": 1}},
        {"content": [IMAGE]},
    ],
)
def test_an_image_or_audio_is_an_answer(replayed_site: ReplayedSite, message: Json) -> None:
    said = {"role": "assistant", **message}
    models: dict[str, Playing] = {
        "whole": whole(chat_whole(message)),
        "stream": streamed(chat_chunk(said), chat_chunk({}, "stop"), USAGE_CHUNK),
    }
    client, upstream = replayed_site(models)
    assert completion(client, "whole>good")["choices"][0]["message"] == said
    assert chat(*chunks(client, "stream>good"))["choices"][0]["message"] == said
    assert completion(client, "stream|slow")["choices"][0]["message"] == said
    native(client, "/chat/fallback", model="whole>good")
    assert upstream.count("good") == 0


def deflated(data: bytes) -> bytes:
    return zlib.compress(data)


def raw_deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


ENCODINGS = [("gzip", gzip.compress), ("deflate", deflated), ("deflate", raw_deflated), ("identity", bytes)]


@pytest.mark.parametrize(("encoding", "encoded"), ENCODINGS)
def test_a_compressed_answer_is_read(
    replayed_site: ReplayedSite, encoding: str, encoded: Callable[[bytes], bytes]
) -> None:
    head = f"Content-Encoding: {encoding}"
    body = json.dumps(chat_whole({"content": "Hello"})).encode()
    events = (EVENTS + "data: [DONE]\n\n").encode()
    client, upstream = replayed_site(
        {
            "json": [sent("200 OK", encoded(body), "Content-Type: application/json", head)],
            "events": [sent("200 OK", encoded(events), "Content-Type: text/event-stream", head)],
        }
    )
    assert native(client, "/chat", model="json")["content"] == "Hello"
    assert streamed_text(client, "events") == "Hello"
    assert native(client, "/chat/parallel", models=["events", "slow"])["content"] == "Hello"
    assert streamed_text(client, "json") == "Hello"
    assert (upstream.count("json"), upstream.count("events")) == (2, 2)


def test_a_compressed_stream_is_passed_on_while_it_comes(replayed_site: ReplayedSite) -> None:
    """Each event is flushed by its compressor, as a proxy in front of a model does it."""
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    steps: list[Step] = [
        {
            "send": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        }
    ]
    for event, wait in ((BEGUN, 1.0), (ENDED, 0.0), ("data: [DONE]\n\n", 0.0)):
        data = compressor.compress(event.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
        steps.append({"send": f"{len(data):x}\r\n" + data.decode("latin-1") + "\r\n"})
        steps += [{"wait": wait}] if wait else []
    end = compressor.flush()
    steps.append({"send": f"{len(end):x}\r\n" + end.decode("latin-1") + "\r\n0\r\n\r\n"})
    client, _ = replayed_site({"m": steps})
    assert streamed_text(client, "m") == "Hello"
    first = last_call().time_to_first_token_ms
    assert first is not None
    assert first < 900 < last_call().latency_ms
