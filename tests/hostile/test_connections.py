"""Requests that come slowly, never end, or lie about where they end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.loopback import loopback_client
from tests.support.site_subprocess import SiteProcess
from tests.support.wire import DOORS, OPENAI, answers, connected, raw, received, request

StartSite = Callable[..., httpx2.Client]

BODY = b'{"prompt": "hi"}'
CHUNKED = "Transfer-Encoding: chunked"
HEAD = b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKS = HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def trickle(client: httpx2.Client, begun: bytes, drop: bytes, *, seconds: float, every: float = 0.1) -> Any:
    """Send a beginning and then a few bytes at a time until the service closes. Returns its answer and the time."""
    started = time.monotonic()
    said: list[bytes] = []
    with connected(client) as connection:
        reader = threading.Thread(target=lambda: said.append(received(connection, seconds)))
        reader.start()
        connection.sendall(begun)
        while reader.is_alive() and time.monotonic() - started < seconds:
            reader.join(every)
            try:
                connection.sendall(drop)
            except OSError:
                break
        reader.join()
    return answers(said[0]), time.monotonic() - started


# --- slowly -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOORS)
def test_a_body_that_trickles_in_is_a_408_that_closes(start_site: StartSite, path: str) -> None:
    client = start_site(RECEIVE_TIMEOUT=0.5)
    begun = request(path, length=False)[:-2] + b"Content-Length: 1000\r\n\r\n" + b'{"prompt": "'
    [answer], seconds = trickle(client, begun, b"a", seconds=10)
    assert answer.status == 408
    assert answer.json()["error"]["code"] == "request_timeout"
    assert answer.json()["error"]["request_id"] == answer.header("x-request-id")
    assert ("param" in answer.json()["error"]) == (path in OPENAI)
    assert answer.header("connection") == "close"
    assert 0.4 < seconds < 5
    assert CallRecord.objects.count() == 0


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-A: a\r\n"),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", b"a"),
        (b"GET /", b"a"),
        (CHUNKS, b"1\r\na\r\n"),
        (CHUNKS + b"1;", b"a"),
        (CHUNKS + b"1\r\n{\r\n0\r\n", b"X-A: a\r\n"),
        (HEAD + b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n", b""),
    ],
    ids=["headers", "header", "url", "chunks", "extension", "trailers", "nothing"],
)
def test_whatever_trickles_in_without_end_is_a_408(start_site: StartSite, begun: bytes, drop: bytes) -> None:
    [answer], seconds = trickle(start_site(RECEIVE_TIMEOUT=0.5), begun, drop, seconds=10)
    assert answer.status == 408
    assert seconds < 5


@pytest.mark.parametrize("drop", [b"", b"\r\n"], ids=["nothing", "empty-lines"])
@pytest.mark.parametrize("before", [b"", request("/health", method="GET", close=False)], ids=["at-once", "after-one"])
def test_a_connection_that_brings_no_request_is_closed(start_site: StartSite, before: bytes, drop: bytes) -> None:
    client = start_site(RECEIVE_TIMEOUT=0.5)
    answered, seconds = trickle(client, before + drop, drop, seconds=15)
    assert [answer.status for answer in answered] == ([200] if before else [])
    assert seconds < 12


def test_a_slow_body_that_goes_on_coming_has_the_time_it_needs(start_site: StartSite) -> None:
    client = start_site(RECEIVE_TIMEOUT=0.5)
    body = json.dumps({"prompt": "word " * 30_000, "model": "gpt-4o"}).encode()
    with connected(client) as connection:
        connection.sendall(request("/chat", body)[: -len(body)])
        for start in range(0, len(body), 10_000):  # this takes 1.5 s
            connection.sendall(body[start : start + 10_000])
            time.sleep(0.1)
        [answer] = answers(received(connection))
    assert answer.status == 200


def test_a_slow_second_request_does_not_cut_off_the_answer_to_the_first(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", Behaviour(answer="one two three four five six", tokens_per_second=4))
    client = start_site(RECEIVE_TIMEOUT=0.3)
    first = request("/chat/stream", b'{"prompt": "hi"}', close=False)
    for second in (b"POST /chat HTTP/1.1\r\nX-A: ", request("/chat", b'{"prompt"', close=False)[:-5], b"\x00nonsense"):
        answered, _ = trickle(client, first + second, b"a" if b"X-A" in second else b"", seconds=10)
        assert answered[0].body.endswith(b"data: [DONE]\n\n")


@pytest.mark.slow
def test_slow_clients_do_not_hinder_others_and_take_little_memory(tmp_path: Path, simulator: SimulatorThread) -> None:
    site = SiteProcess(tmp_path, upstream=simulator.base_url, RECEIVE_TIMEOUT="60")
    site.migrate()
    site.start()
    try:
        with loopback_client(base_url=site.base_url) as client, ExitStack() as stack:
            assert client.post("/chat", json={"prompt": "hi"}).status_code == 200
            before = memory_mb(site)
            for number in range(400):
                connection = stack.enter_context(connected(client))
                connection.sendall(HEAD if number % 2 else request("/chat", BODY * 1000)[:1000])
            seconds = []
            for _ in range(20):
                started = time.monotonic()
                assert client.post("/chat", json={"prompt": "hi"}).status_code == 200
                seconds.append(time.monotonic() - started)
            # Half of the calls take less than 5 s. A call that waited for the slow ones would wait for 60 s.
            assert sorted(seconds)[10] < 5
            assert memory_mb(site) - before < 60
    finally:
        site.close()


def memory_mb(site: SiteProcess) -> int:
    assert site.process is not None
    status = Path(f"/proc/{site.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


# --- without end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (HEAD, b"X-A: aaaaaaaaaaaaaaaa\r\n" * 3000),
        (HEAD + b"X-A: ", b"a" * 65536),
        (b"GET /", b"a" * 65536),
        (CHUNKS + b"1;", b"a" * 65536),
        (CHUNKS + b"1\r\n{\r\n0\r\n", b"X-A: a\r\n" * 9000),
    ],
    ids=["headers", "header", "url", "extension", "trailers"],
)  # fmt: skip
def test_what_stands_around_a_body_is_bounded(client: httpx2.Client, begun: bytes, more: bytes) -> None:
    sent = 0
    with connected(client) as connection:
        connection.sendall(begun)
        try:
            while sent < 100_000_000:
                connection.sendall(more)
                sent += len(more)
        except OSError:
            pass
        said = received(connection)
    # The buffers of the sockets hold some of it. The answer may be missing, because a reset may overtake it.
    assert sent < 30_000_000
    assert not said or answers(said)[0].status == 431
    assert client.get("/health").status_code == 200


def test_long_headers_that_end_are_served(client: httpx2.Client) -> None:
    headers = [f"X-Long-{number}: {'a' * 1000}" for number in range(40)]
    [answer] = raw(client, request("/chat", BODY, *headers))
    assert answer.status == 200


# --- lies about the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOORS)
def test_a_body_of_chunks_with_a_trailer_is_a_body(client: httpx2.Client, path: str) -> None:
    body = json.dumps(DOORS[path]).encode()
    pieces = b"".join(b"%x;a=b\r\n%s\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
    trailer = b"0\r\nX-Route: gpt-4o-mini\r\nAuthorization: Bearer sk-orch-x\r\nX-Request-ID: trailing-id\r\n\r\n"
    [answer] = raw(client, request(path, b"", CHUNKED, length=False) + pieces + trailer)
    assert answer.status == 200
    assert "mini" not in (answer.header("x-model-used") or "")
    assert answer.header("x-request-id") != "trailing-id"


NOT_HTTP = [
    request("/chat", BODY, "Content-Length: 5"),
    request("/chat", BODY, "Content-Length: 17"),
    request("/chat", BODY, CHUNKED),
    request("/chat", BODY, "Content-Length: +16", length=False),
    request("/chat", BODY, "Content-Length: -1", length=False),
    request("/chat", BODY, "Content-Length: 16, 16", length=False),
    request("/chat", BODY, "Content-Length: 0x10", length=False),
    request("/chat", BODY, "Content-Length: 99999999999999999999999999", length=False),
    request("/chat", b"zz\r\n", CHUNKED, length=False),
    request("/chat", b"-1\r\n", CHUNKED, length=False),
    request("/chat", b"ffffffffffffffffff\r\n", CHUNKED, length=False),
    request("/chat", b"10\r\n" + BODY + b"X", CHUNKED, length=False),
    request("/chat", b"0\r\n\r\n", "Transfer-Encoding: chunked, identity", length=False),
    request("/chat", BODY, "X-A : b"),
    request("/chat", BODY, " X-A: b"),
    request("/chat", BODY, "X-A: a\rb"),
    request("/chat", BODY, "X-A: a\x00b"),
    request("/chat", BODY, "No colon"),
    request("/ch at", BODY),
    b"POST /chat HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /chat\r\n\r\n",
    b"FLY /chat HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /h\xc3\xa9 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"\x00" * 100,
]


def test_what_is_not_exactly_http_is_a_400_in_json_and_asks_no_model(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    for sent in NOT_HTTP:
        found = raw(client, sent)
        assert [answer.status for answer in found] == [400], sent
        assert found[0].json()["error"]["code"] == "invalid_request"
        assert found[0].header("connection") == "close"
    assert simulator.requests() == []


def test_a_length_that_is_too_small_hides_no_second_request(client: httpx2.Client, simulator: SimulatorThread) -> None:
    [first] = raw(client, request("/chat", BODY + b"GARBAGE", "Content-Length: 16", length=False, close=False))
    assert (first.status, first.header("connection")) == (200, "close")
    assert len(simulator.requests()) == 1


def test_a_client_that_goes_before_its_announced_body_is_here_asks_no_model(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    for path in DOORS:
        begun = request(path, b"", "Content-Length: 1000", length=False) + json.dumps(DOORS[path]).encode()
        assert raw(client, begun, finish=True) == []
    assert client.get("/health").status_code == 200
    assert simulator.requests() == []
    assert CallRecord.objects.count() == 0


def test_requests_that_come_all_at_once_are_answered_in_their_order(client: httpx2.Client) -> None:
    order = [request("/chat", json.dumps({"prompt": f"n{number}"}).encode(), close=False) for number in range(20)]
    order.insert(7, request("/chat", b"{", close=False))
    found = raw(client, b"".join([*order, request("/health", method="GET")]))
    assert [answer.status for answer in found] == [200] * 7 + [400] + [200] * 14
    assert [answer.json()["content"].split()[-1] for answer in found[:7]] == [f"n{number}" for number in range(7)]


def test_who_waits_for_leave_to_send_gets_it_or_the_refusal(client: httpx2.Client) -> None:
    with connected(client) as connection:
        connection.sendall(request("/chat", BODY, "Expect: 100-continue")[: -len(BODY)])
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert answers(received(connection))[0].status == 200
    [answer] = raw(client, request("/chat", b"", "Expect: 100-continue", "Content-Length: 99999999999", length=False))
    assert answer.status == 413
