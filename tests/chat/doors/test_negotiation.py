"""What clients send as `Accept` and `Content-Type`, by default or by mistake."""

from __future__ import annotations

import json

import httpx2
import pytest

from chat.models import CallRecord
from tests.support.wire import DOORS, raw, request

ACCEPTS = {
    "Java's URLConnection": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "a browser": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "axios": "application/json, text/plain, */*",
    "an event source": "text/event-stream",
    "OpenAI's SDK": "application/json",
    "Spring": "text/plain, application/json, application/*+json, */*",
    "one that can't be served": "application/xml",
    "pictures": "image/*",
    "another version": "application/vnd.api+json; version=2",
    "nothing but a refusal": "application/json;q=0, */*;q=0",
    "a list of nothing": ", ,;,",
    "a word": "json",
    "a broken weight": "application/json;q=abc, text/html;q=",
    "an open quote": 'text/html;a="',
    "nothing": "",
    "a very long one": "text/html," * 2000,
}
READ = ("/calls", "/stats", "/v1/models", "/v1/models/gpt-4o", "/v1/chat/completions", "/health", "/health/ready")

each_accept = pytest.mark.parametrize("accept", ACCEPTS.values(), ids=ACCEPTS.keys())


@each_accept
def test_no_accept_is_refused_at_a_door(client: httpx2.Client, accept: str) -> None:
    for path, body in DOORS.items():
        (answer,) = raw(client, request(path, json.dumps(body).encode(), f"Accept: {accept}"))
        assert answer.status == 200, (path, answer.body)
        kind = "text/event-stream; charset=utf-8" if path == "/chat/stream" else "application/json"
        assert answer.header("content-type") == kind
    assert CallRecord.objects.count() == len(DOORS)


@each_accept
def test_a_stream_that_is_asked_for_in_the_body_is_a_stream_for_any_accept(client: httpx2.Client, accept: str) -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
        body = json.dumps({**DOORS[path], "stream": True}).encode()
        (answer,) = raw(client, request(path, body, f"Accept: {accept}"))
        assert (answer.status, answer.header("content-type")) == (200, "text/event-stream; charset=utf-8")


@each_accept
def test_what_is_read_is_json_for_any_accept(client: httpx2.Client, accept: str) -> None:
    for path in READ:
        (answer,) = raw(client, request(path, b"", f"Accept: {accept}", method="GET"))
        assert (answer.status, answer.header("content-type")) == (200, "application/json"), path
        answer.json()


@each_accept
def test_pages_figures_and_errors_are_what_they_are_for_any_accept(client: httpx2.Client, accept: str) -> None:
    kinds = {
        "/docs": "text/html; charset=utf-8",
        "/redoc": "text/html; charset=utf-8",
        "/calls/none": "application/json",
    }
    for path, kind in kinds.items():
        (answer,) = raw(client, request(path, b"", f"Accept: {accept}", method="GET"))
        assert (answer.status, answer.header("content-type")) == (404 if "none" in path else 200, kind)
    for path in ("/metrics", "/schema"):
        (answer,) = raw(client, request(path, b"", f"Accept: {accept}", method="GET"))
        assert answer.status == 200, path
    (answer,) = raw(client, request("/chat/stream", b"{}", f"Accept: {accept}"))
    assert (answer.status, answer.header("content-type")) == (400, "application/json")


@pytest.mark.parametrize("path", DOORS)
def test_json_may_be_called_json_in_any_usual_way(client: httpx2.Client, path: str) -> None:
    body = json.dumps(DOORS[path]).encode()
    for written in (
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        'application/json; charset="utf-8"',
        " application/json ; a=b",
        "application/json, application/json",
        "application/json;charset=utf-8,application/json",
    ):
        (answer,) = raw(client, request(path, body, f"Content-Type: {written}"))
        assert answer.status == 200, written
    (answer,) = raw(client, request(path, body, "Content-Type: application/json", "Content-Type: application/json"))
    assert answer.status == 200


@pytest.mark.parametrize("path", DOORS)
def test_a_body_that_is_not_called_json_is_refused_with_what_to_send(client: httpx2.Client, path: str) -> None:
    body = json.dumps(DOORS[path]).encode()
    for line, said in (
        ("Content-Type: text/plain", "not 'text/plain'"),
        ("Content-Type: application/x-www-form-urlencoded", "not 'application/x-www-form-urlencoded'"),
        ("Content-Type: text/plain, application/json", "not 'text/plain, application/json'"),
        ("Content-Type:", "this request has no Content-Type"),
    ):
        (answer,) = raw(client, request(path, body, line))
        assert answer.status == 415, line
        assert answer.json()["error"]["code"] == "unsupported_media_type"
        assert "Content-Type: application/json" in answer.json()["error"]["message"]
        assert said in answer.json()["error"]["message"]
    (answer,) = raw(client, request(path, body).replace(b"Content-Type: application/json\r\n", b""))
    assert answer.status == 415
    assert "this request has no Content-Type" in answer.json()["error"]["message"]
