"""Requests that offer to go on in another protocol, as Java's HTTP client sends them, are answered as HTTP/1.1."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat.models import CallContent, CallRecord
from llm.simulator import SimulatorThread
from tests.support.loopback import loopback_client
from tests.support.ports import free_port
from tests.support.site_subprocess import ROOT, SiteProcess
from tests.support.waiting import eventually
from tests.support.wire import DOORS, Answer, answers, connected, raw, received, request

# What Java 17 sends with the first request of a connection without TLS.
H2C = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAAAAIAAAAB", "Upgrade: h2c")
CHUNKED = "Transfer-Encoding: chunked"
LARGE = "word " * 1_000_000


def offered(path: str, body: bytes = b"", *headers: str, method: str = "POST", chunked: bool = False) -> bytes:
    if not chunked:
        return request(path, body, *H2C, *headers, method=method, close=False)
    pieces = [body[start : start + 16_000] for start in range(0, len(body), 16_000)]
    head = request(path, b"", *H2C, CHUNKED, *headers, method=method, length=False, close=False)
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def ended(path: str = "/health") -> bytes:
    return request(path, method="GET")


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
@pytest.mark.parametrize("path", DOORS)
def test_a_post_with_an_offer_of_http_2_has_its_body_at_every_door(
    client: httpx2.Client, path: str, chunked: bool
) -> None:
    body = json.dumps(DOORS[path]).encode()
    answer, after = raw(client, offered(path, body, chunked=chunked) + ended())
    assert (answer.status, after.status) == (200, 200), answer.body
    assert answer.header("upgrade") is None
    assert CallRecord.objects.count() == 1


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_body_of_5_mb_after_an_offer_comes_whole(client: httpx2.Client, chunked: bool) -> None:
    body = json.dumps({"prompt": LARGE}).encode()
    answer, after = raw(client, offered("/chat", body, chunked=chunked) + ended())
    assert (answer.status, after.status) == (200, 200), answer.body
    assert CallContent.objects.get().messages[0]["content"] == LARGE


@pytest.mark.parametrize("size", [1, 7, 50])
def test_a_request_with_an_offer_may_come_in_pieces_of_any_size(client: httpx2.Client, size: int) -> None:
    body = json.dumps({"prompt": "hi"}).encode()
    sent = offered("/chat", body) + offered("/chat", body, chunked=True) + ended()
    with connected(client) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), size):
            connection.sendall(sent[start : start + size])
        assert [answer.status for answer in answers(received(connection))] == [200, 200, 200]


def test_the_connection_goes_on_after_a_request_with_an_offer(client: httpx2.Client) -> None:
    body = json.dumps({"prompt": "hi"}).encode()
    with connected(client) as connection:
        for sent in (offered("/chat", body), offered("/chat", body, method="POST"), request("/chat", body)):
            connection.sendall(sent)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            assert head.startswith(b"HTTP/1.1 200 ")
            connection.recv(100_000)
    assert CallRecord.objects.count() == 3


def test_requests_with_offers_that_come_all_at_once_are_answered_in_their_order(client: httpx2.Client) -> None:
    sent = [
        offered("/chat", json.dumps({"prompt": f"n{number}"}).encode(), chunked=number % 2 == 0)
        for number in range(10)
    ]  # fmt: skip
    found = raw(client, b"".join([*sent, ended()]))
    assert [answer.status for answer in found] == [200] * 11
    assert [answer.json()["content"].split()[-1] for answer in found[:-1]] == [f"n{number}" for number in range(10)]


def test_a_get_of_a_page_with_an_offer_is_answered(client: httpx2.Client) -> None:
    for path in ("/health", "/calls", "/v1/models", "/docs", "/static/admin/css/base.css"):
        answer, after = raw(client, offered(path, method="GET") + ended())
        assert (answer.status, after.status) == (200, 200), path


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: upgrade", "Upgrade: TLS/1.0"),
        ("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        ("Connection: Upgrade", "Connection: keep-alive", "Upgrade: h2c", "Upgrade: IRC/6.9"),
        ("connection:upgrade", "upgrade:nonsense, h2c"),
        ("Connection: Upgrade",),
        ("Upgrade: h2c",),
    ],
)
def test_any_other_offer_is_ignored_as_well(client: httpx2.Client, lines: tuple[str, ...]) -> None:
    body = json.dumps({"prompt": "hi"}).encode()
    answer, after = raw(client, request("/chat", body, *lines, close=False) + ended())
    assert (answer.status, after.status) == (200, 200)


def test_an_offer_together_with_a_close_is_answered_and_then_closed(client: httpx2.Client) -> None:
    body = json.dumps({"prompt": "hi"}).encode()
    sent = request("/chat", body, "Connection: close, Upgrade", "Upgrade: h2c", close=False)
    (answer,) = raw(client, sent)
    assert (answer.status, answer.header("connection")) == (200, "close")


def test_who_offers_http_2_and_waits_for_leave_to_send_gets_it(client: httpx2.Client) -> None:
    body = json.dumps({"prompt": "hi"}).encode()
    with connected(client) as connection:
        connection.sendall(offered("/chat", body, "Expect: 100-continue")[: -len(body)])
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body + ended())
        assert [answer.status for answer in answers(received(connection))] == [200, 200]


def test_a_stream_is_a_stream_after_an_offer(client: httpx2.Client) -> None:
    answer, _ = raw(client, offered("/chat/stream", b'{"prompt": "hi"}') + ended())
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_an_offer_takes_no_limit_off(start_site: Callable[..., httpx2.Client]) -> None:
    client = start_site(RECEIVE_TIMEOUT=0.3)
    slow = offered("/chat", b'{"prompt": "hi"}')[:-5]
    (late,) = raw(client, slow)
    assert late.status == 408
    (bad,) = raw(client, offered("/chat", b"zz\r\n", "Transfer-Encoding: chunked"))
    assert bad.status == 400
    with connected(client) as connection:
        connection.sendall(offered("/chat", chunked=True)[:-5] + b"1;" + b"a" * 200_000)
        assert answers(received(connection))[0].status == 431


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "runserver"])
def test_both_commands_ignore_offers(tmp_path: Path, simulator: SimulatorThread, command: str) -> None:
    site = SiteProcess(tmp_path, upstream=simulator.base_url)
    site.migrate()
    arguments = [sys.executable, "manage.py", command]
    if command == "serve":
        arguments += ["--port", str(site.port)]
    else:
        arguments += ["--noreload", f"127.0.0.1:{site.port}"]
    assert [answer.status for answer in _answers_of(arguments, site.port, site.environment)] == [200, 200]


@pytest.mark.slow
def test_uvicorn_by_itself_ignores_offers_when_it_is_told_to_use_our_protocol(
    tmp_path: Path, simulator: SimulatorThread
) -> None:
    site = SiteProcess(tmp_path, upstream=simulator.base_url)
    site.migrate()
    port = free_port()
    arguments = [str(Path(sys.executable).with_name("uvicorn")), "orchestration_site.asgi:application"]
    arguments += ["--port", str(port), "--http", "orchestration_site.http.protocol.slow_clients:TimedProtocol"]
    environment = {**site.environment, "DJANGO_SETTINGS_MODULE": "orchestration_site.settings"}
    assert [answer.status for answer in _answers_of(arguments, port, environment)] == [200, 200]


def _answers_of(arguments: list[str], port: int, environment: dict[str, str]) -> list[Answer]:
    """The answers of a server that is started for two requests, the first with an offer and a body."""
    environment = {**environment, "PATH": os.environ["PATH"]}
    server = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        with loopback_client(base_url=f"http://127.0.0.1:{port}") as client:
            eventually(lambda: _is_up(client, server), 30)
            return raw(client, offered("/chat", b'{"prompt": "hi"}') + ended())
    finally:
        server.terminate()
        server.communicate(timeout=30)


def _is_up(client: httpx2.Client, server: subprocess.Popen[Any]) -> bool:
    assert server.poll() is None, server.stdout and server.stdout.read()
    try:
        return client.get("/health").status_code == 200
    except httpx2.HTTPError:
        return False
