"""Where an upstream answers what only a hostile or broken one does, the caller is answered, and there is a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chat.models import Attempt, CallRecord
from tests.support.upstreams.written_upstream import Json, Reply
from tests.support.wire import DOORS, MESSAGES

WrittenSite = Callable[..., Any]

COMPLETION: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
}
CHUNK: Json = {
    **COMPLETION,
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "finish_reason": "stop", "delta": {"content": "hi"}}],
}
DEEP = '{"a":' * 850 + "1" + "}" * 850
VALUES = {
    "not a number": "NaN",
    "no end": "Infinity",
    "no end below": "-Infinity",
    "a float too large": "1e400",
    "an integer of 4000 digits": "9" * 4000,
    "an integer too long to read": "9" * 5000,
    "a NUL": '"a\\u0000b"',
    "half of a pair": '"\\udc00"',
    "half of a pair as a name": '{"\\ud800": "\\u0000", "\\u0000": 1}',
    "deep": DEEP,
    "too deep to read": "[" * 100_000 + "]" * 100_000,
    "a hundred thousand characters": json.dumps("é" * 100_000),
    "a million characters": json.dumps("é" * 1_000_000),
    "the same name twice": '{"a": 1, "a": 2}',
}


def reply(pattern: Json, value: str, *, stream: bool) -> Reply:
    """Return the pattern with the raw JSON `value` in the place of "VALUE"."""
    text = json.dumps(pattern).replace('"VALUE"', value)
    if stream:
        return Reply(f"data: {text}\n\ndata: [DONE]\n\n".encode(), content_type="text/event-stream")
    return Reply(text.encode())


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=name, marks=[pytest.mark.slow] if name == "a million characters" else [])
        for name, value in VALUES.items()
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_value_that_json_does_not_have_or_nobody_expects(written_site: WrittenSite, value: str, stream: bool) -> None:
    base = CHUNK if stream else COMPLETION
    pattern: Json = base
    client, _ = written_site(lambda *_: reply(pattern, value, stream=stream), MAX_RETRIES=0, BREAKER_FAILURES=1_000)
    inside = {**base["choices"][0], "logprobs": "VALUE"}
    for pattern in (  # noqa: B007 - the upstream reads it
        {**base, "x": "VALUE"},
        {**base, "choices": [inside]},
        {**base, "id": "VALUE"},
        {**base, "usage": "VALUE"},
        {**base, "usage": {"prompt_tokens": "VALUE", "completion_tokens": "VALUE", "total_tokens": "VALUE"}},
        {"error": {"message": "VALUE", "code": "VALUE", "type": "VALUE", "param": "VALUE"}},
        {"error": "VALUE"},
    ):
        for path in ("/chat/stream", "/v1/chat/completions") if stream else ("/chat", "/v1/chat/completions"):
            body = {"model": "gpt-4o", "messages": MESSAGES}
            body |= {"store": True, "stream": stream} if path.startswith("/v1") else {}
            answer = client.post(path, json=body)
            assert answer.status_code in (200, 400, 404, 429, 500, 502), answer.text
            if answer.headers["content-type"] == "application/json":
                json.loads(answer.content, parse_constant=pytest.fail)
            elif path.startswith("/v1"):
                for line in answer.text.splitlines():
                    if line.startswith("data: {"):
                        json.loads(line.removeprefix("data: "), parse_constant=pytest.fail)
            detail = client.get(f"/calls/{answer.headers['x-request-id']}")
            assert detail.status_code == 200
            json.loads(detail.content, parse_constant=pytest.fail)
    assert CallRecord.objects.count() == 14
    for path in ("/calls", "/stats", "/v1/chat/completions?limit=100", "/health/ready"):
        listed = client.get(path)
        assert listed.status_code == 200, (path, listed.text)
        json.loads(listed.content, parse_constant=pytest.fail)


@pytest.mark.parametrize("count", [-5, 2**31, 2**63, 10**30, 1.5, True, "12", None, [1], {"a": 1}])
def test_counts_of_tokens_that_can_not_be(written_site: WrittenSite, count: Any) -> None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens")
    details = {"cached_tokens": count, "reasoning_tokens": count}
    usage = dict.fromkeys(names, count) | dict.fromkeys(
        ("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"), details
    )
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}]
    answers = {
        "/v1/chat/completions": COMPLETION,
        "/v1/completions": {**COMPLETION, "choices": [{"text": "hi", "finish_reason": "stop", "index": 0}]},
        "/v1/embeddings": {"object": "list", "data": [{"embedding": [1.0], "index": 0}]},
        "/v1/responses": {"id": "resp_1", "object": "response", "status": "completed", "output": output},
    }
    client, _ = written_site(lambda path, _: Reply({**answers[path], "usage": usage}))
    for path in ("/chat", *answers):
        answer = client.post(path, json=DOORS[path])
        assert answer.status_code == 200, answer.text
        call = client.get(f"/calls/{answer.headers['x-request-id']}").json()
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"):
            assert call[name] is None or 0 <= call[name] < 2**31
        assert call["cost_usd"] is None or call["cost_usd"] >= 0
    stats = client.get("/stats").json()
    assert stats["total_requests"] == 5
    assert stats["total_cost_usd"] >= 0


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/event-stream", "text/html", "application/octet-stream"]
)
def test_a_body_that_is_no_answer_is_a_502_at_every_door(written_site: WrittenSite, media_type: str) -> None:
    body = b""
    client, _ = written_site(lambda *_: Reply(body, content_type=media_type), MAX_RETRIES=0, BREAKER_FAILURES=1_000)
    for body in (b"", b"null", b"[]", b'"hi"', b"{}", b"\xff\xfe", b"\x00" * 100, b"{" * 1000, b"<html>"):
        for path, order in DOORS.items():
            answer = client.post(path, json=order)
            assert answer.status_code == (200 if path == "/chat/fallback" else 502), (path, body, answer.text)
            first = Attempt.objects.get(call__request_id=answer.headers["x-request-id"], ordinal=0)
            assert first.status == "failed"
