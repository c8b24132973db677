"""Whatever callers and upstreams write into headers, or into values that become headers, it does no harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.upstreams.written_upstream import Reply, event_stream
from tests.support.wire import DOORS, MESSAGES, OPENAI, Answer, raw, request

WrittenSite = Callable[..., Any]

OURS = ("x-request-id", "content-type", "content-length", "date", "server", "allow", "connection", "vary")
BREAKS = (
    "\r\nSet-Cookie: a=b",
    "\r\n\r\n<script>",
    "\nSet-Cookie: a=b",
    "\rSet-Cookie: a=b",
    "\x00",
    "\x0b",
    "\x85",
    "\u2028",
)
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
}


def assert_no_header_was_added(answer: httpx2.Response | Answer) -> None:
    names = {
        name.lower() for name, _ in (answer.headers if isinstance(answer, Answer) else answer.headers.multi_items())
    }
    assert "set-cookie" not in names
    assert not any("script" in name for name in names)


@pytest.mark.parametrize("broken", BREAKS)
def test_a_model_s_name_with_a_line_end_or_a_control_character_is_a_400(
    client: httpx2.Client, simulator: SimulatorThread, broken: str
) -> None:
    for path, body in DOORS.items():
        answer = client.post(path, json={**body, "model": f"gpt{broken}4o"})
        assert answer.status_code == 400, path
        assert_no_header_was_added(answer)
    assert simulator.requests() == []


@pytest.mark.parametrize(
    "name", ["模型", "modèle", "😀", "a\xadb", "<script", '"<img/', "a:b;c=d", "%0d%0aSet-Cookie:a=b"]
)
def test_any_other_name_is_exact_in_the_record_and_harmless_in_headers(client: httpx2.Client, name: str) -> None:
    for path, body in DOORS.items():
        answer = client.post(path, json={**body, "model": name})
        if answer.status_code == 400:  # Python can't print all of them, and a slash stands behind a provider's name
            assert not name.isprintable() or "/" in name
            continue
        assert answer.status_code == 200
        assert_no_header_was_added(answer)
        assert client.get(f"/calls/{answer.headers['x-request-id']}").json()["model_used"] == name
        if path in OPENAI:
            expected = "".join(letter if letter.isascii() else "?" for letter in name)
            assert answer.headers["x-model-used"] == expected


def test_names_in_a_header_are_read_as_utf_8(client: httpx2.Client) -> None:
    for path, body in OPENAI.items():
        without = {name: value for name, value in body.items() if name != "model"}
        [answer] = raw(
            client, request(path, json.dumps(without).encode(), "X-Route: " + "模".encode().decode("latin-1"))
        )
        assert answer.status == 200
        assert CallRecord.objects.order_by("-id")[0].model_used == "模"


@pytest.mark.parametrize("path", DOORS)
def test_headers_with_any_byte_are_kept_or_named_and_never_echoed(client: httpx2.Client, path: str) -> None:
    body = json.dumps(DOORS[path]).encode()
    strange = "".join(map(chr, (9, *range(32, 127), *range(128, 256))))
    for name in (
        "User-Agent",
        "traceparent",
        "tracestate",
        "Referer",
        "Origin",
        "Cookie",
        "X-Forwarded-For",
        "Accept-Language",
    ):
        [answer] = raw(client, request(path, body, f"{name}: a{strange}z"))
        assert answer.status == 200, name
        assert strange.encode("latin-1") not in b"".join(value.encode("latin-1") for _, value in answer.headers)
    for name in ("Idempotency-Key", "x-timeout", "x-cache-ttl") if path in OPENAI else ("Idempotency-Key",):
        [answer] = raw(client, request(path, body, f"{name}: a{strange}z"))
        assert answer.status == 400, name
        assert name in answer.json()["error"]["message"]
    [answer] = raw(client, request(path, body, f"X-Request-ID: a{strange}z"))
    assert str(answer.header("x-request-id")).startswith("req_")
    agent = CallRecord.objects.filter(user_agent__startswith="a").values_list("user_agent", flat=True)[0]
    assert agent.startswith("a") and agent.endswith("z")


@pytest.mark.parametrize("name", ["Accept", "Authorization", "X-API-Key", "api-key", "Host", "Content-Type"])
def test_the_headers_that_decide_take_any_byte_too(client: httpx2.Client, name: str) -> None:
    strange = "".join(map(chr, (*range(33, 127), *range(128, 256))))
    for path, body in DOORS.items():
        for value in (strange, f"Bearer {strange}", "a" * 30_000, ",;" * 5_000, ""):
            lines = [f"{name}: {value}"]
            [answer] = raw(client, request(path, json.dumps(body).encode(), *lines))
            assert answer.status in (200, 400, 401, 415), (path, name, value[:20])
            if answer.status != 200:
                assert answer.json()["error"]["code"]


@pytest.mark.parametrize("path", DOORS)
def test_no_answer_is_taken_for_a_page(client: httpx2.Client, path: str) -> None:
    evil = "<script>alert(1)</script>"
    good = client.post(path, json=json.loads(json.dumps(DOORS[path]).replace('"hi"', json.dumps(evil))))
    bad = client.post(path, json={**DOORS[path], evil: 1, "model": f"a {evil}"})
    failed = client.post(path, json={**DOORS[path], "model": "sim-400"})
    missing = client.post(f"{path}/{evil}", json={})
    for answer, status in ((good, 200), (bad, 400), (failed, 400), (missing, 404)):
        assert answer.status_code in (status, 405)
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "text/event-stream")
        assert answer.headers["x-content-type-options"] == "nosniff"


# --- the upstream's ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["req_\xe9\x80", "a\tb", "<script>", "a" * 60_000, "a; Set-Cookie: b=c"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_s_request_id_is_echoed_as_a_header_may_be(
    written_site: WrittenSite, value: str, stream: bool
) -> None:
    chunk = {**COMPLETION, "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
    reply = event_stream(chunk) if stream else Reply(COMPLETION)
    client, _ = written_site(lambda *_: Reply(reply.body, 200, reply.content_type, {"x-request-id": value}))
    for path in ("/v1/chat/completions", "/chat/stream" if stream else "/chat"):
        answer = client.post(
            path, json={"model": "gpt-4o", "messages": MESSAGES} | ({"stream": stream} if "v1" in path else {})
        )
        assert answer.status_code == 200
        assert_no_header_was_added(answer)
        assert all(" " <= letter <= "~" for _, text in answer.headers.multi_items() for letter in text)
    assert all(kept.startswith(value[:4]) for kept in Attempt.objects.values_list("upstream_request_id", flat=True))


@pytest.mark.parametrize("broken", BREAKS)
def test_an_upstream_s_header_with_a_line_end_adds_none_of_ours(written_site: WrittenSite, broken: str) -> None:
    broken = broken.encode().decode("latin-1")
    client, _ = written_site(lambda *_: Reply(COMPLETION, headers={"x-request-id": f"req{broken}"}), MAX_RETRIES=0)
    for path in ("/v1/chat/completions", "/chat", "/chat/fallback"):
        answer = client.post(path, json={"model": "gpt-4o", "messages": MESSAGES})
        assert answer.status_code in (200, 502), answer.text
        assert_no_header_was_added(answer)
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("broken", [*BREAKS, "<script>alert(1)</script>", "\ud800", "é" * 100_000])
@pytest.mark.parametrize("statuses", [(400, 500), pytest.param((404, 429), marks=pytest.mark.slow)], ids=str)
def test_an_upstream_s_error_with_anything_in_it_stays_in_the_body(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread, statuses: tuple[int, ...], broken: str
) -> None:
    client = start_site(BREAKER_FAILURES=1_000, MAX_RETRIES=0)
    text = f"no{broken}"
    error = {"message": text, "type": text, "param": text, "code": text, text: {text: [text]}}
    for status in statuses:
        simulator.script("gpt-4o", Behaviour(status=status, error=error))
        for path, body in DOORS.items():
            answer = client.post(path, json={**body, "model": "gpt-4o"})
            assert answer.status_code in (200, 400, 404, 429, 500, 502), (path, answer.text)
            assert_no_header_was_added(answer)
            assert answer.headers["content-type"].startswith(("application/json", "text/event-stream"))
            call = client.get(f"/calls/{answer.headers['x-request-id']}")
            assert call.status_code == 200
            assert call.json()["attempts"][0]["error_message"].startswith("no")


@pytest.mark.parametrize("value", ["1e308", "-1", "nan", "inf", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "é", "1 2"])
def test_an_upstream_s_retry_after_is_a_time_that_can_be(written_site: WrittenSite, value: str) -> None:
    reply = Reply({"error": {"message": "wait"}}, 429, headers={"Retry-After": value})
    client, _ = written_site(lambda *_: reply, MAX_RETRIES=1, BREAKER_FAILURES=1)
    for path, body in DOORS.items():
        if path == "/chat/fallback":
            continue
        answer = client.post(path, json={**body, "model": "gpt-4o"})
        assert answer.status_code == 429
        assert 0 <= int(answer.headers.get("retry-after", "0")) <= 86_400
    assert client.get("/health/ready").status_code == 200
