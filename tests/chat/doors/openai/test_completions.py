"""POST /v1/completions, against an upstream written by hand"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from chat.models import CallRecord
from tests.support.openai_sdk import chunks_of, events_of, sdk_of
from tests.support.upstreams.written_upstream import Json, Reply, event_stream

HEAD = {"id": "cmpl-w", "object": "text_completion", "created": 1, "model": "davinci-9", "brand_new": 1}
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
ANSWER = {
    **HEAD,
    "choices": [{"index": 0, "text": "Once upon", "logprobs": None, "finish_reason": "length", "new": []}],
    "usage": USAGE,
}


def piece(text: str, finish_reason: str | None = None) -> Json:
    return {**HEAD, "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}]}


CHUNKS = [piece("Once "), piece("upon"), piece("", "length"), {**HEAD, "choices": [], "usage": USAGE}]


def answer(path: str, body: Json) -> Reply:
    assert path == "/v1/completions"
    if body["model"] == "down":
        return Reply({"error": {"message": "down", "type": "server_error"}}, status=500)
    return event_stream(*CHUNKS) if body.get("stream") else Reply(ANSWER)


def test_whole_raced_and_after_a_fallback(written_site: Callable[..., Any]) -> None:
    client, upstream = written_site(answer, MAX_RETRIES=0)
    asked = {"prompt": ["Tell", "me"], "max_tokens": 2, "suffix": "x", "echo": True, "brand_new": {"a": None}}
    assert client.post("/v1/completions", json={"model": "davinci-9", **asked}).json() == ANSWER
    assert upstream.seen == [("/v1/completions", {"model": "davinci-9", **asked})]
    assert client.post("/v1/completions", json={"model": "down>davinci-9", **asked}).json() == ANSWER
    raced = client.post("/v1/completions", json={"model": "down|davinci-9", **asked}).json()
    assert raced["choices"][0]["text"] == "Once upon" and raced["usage"] == USAGE
    for call in CallRecord.objects.all():
        assert (call.door, call.operation, call.status, call.completion_id) == (
            "openai",
            "completions",
            "succeeded",
            "cmpl-w",
        )
        assert (call.prompt_tokens, call.completion_tokens, call.finish_reason) == (4, 2, "length")
        assert call.body.content == "Once upon"
        assert call.body.messages == [{"role": "user", "content": ["Tell", "me"]}]


def test_streamed_with_usage_for_who_asked(written_site: Callable[..., Any]) -> None:
    client, _ = written_site(answer)
    asked = {"model": "davinci-9", "prompt": "Tell", "stream": True}
    plain = client.post("/v1/completions", json=asked)
    assert chunks_of(plain) == CHUNKS[:-1]
    with_usage = client.post("/v1/completions", json={**asked, "stream_options": {"include_usage": True}})
    assert chunks_of(with_usage) == CHUNKS
    assert events_of(plain)[-1] == events_of(with_usage)[-1] == "[DONE]"
    assert set(CallRecord.objects.values_list("prompt_tokens", flat=True)) == {4}


def test_the_sdk_whole_streamed_failed_and_with_a_default_message(written_site: Callable[..., Any]) -> None:
    client, upstream = written_site(answer, MAX_RETRIES=0)
    sdk = sdk_of(client)
    assert sdk.completions.create(model="davinci-9", prompt="Tell").choices[0].text == "Once upon"
    for model, extras, said in (("davinci-9", {}, "Once upon"), ("down", {"x-default-message": "Sorry."}, "Sorry.")):
        stream = sdk.completions.create(model=model, prompt="Tell", stream=True, extra_body=extras)
        assert "".join(chunk.choices[0].text for chunk in stream) == said
    before = len(upstream.seen)
    with pytest.raises(openai.InternalServerError, match="down"):
        sdk.completions.create(model="down", prompt="Tell")
    assert len(upstream.seen) == before + 1


def test_a_cached_stream_keeps_its_usage_from_who_did_not_ask(written_site: Callable[..., Any]) -> None:
    client, upstream = written_site(answer)
    for fields in ({}, {"stream_options": {"include_usage": True}}):
        asked = {"model": "davinci-9", "prompt": "Tell", "stream": True, "x-cache-ttl": 60, **fields}
        first, again = (client.post("/v1/completions", json=asked) for _ in range(2))
        assert again.headers["x-cached"] == "true"
        assert [bool(chunk.get("usage")) for chunk in chunks_of(again)] == [False, True][: 1 + bool(fields)]
        assert any(chunk.get("usage") for chunk in chunks_of(first)) == bool(fields)
    assert len(upstream.seen) == 1
