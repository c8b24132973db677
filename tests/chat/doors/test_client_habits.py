"""Requests as tools and people send them besides the SDKs: each is answered, or told what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest

from tests.access.conftest import MakeKey, make_key
from tests.support.wire import DOORS, connected, raw, received, request

__all__ = ["make_key"]

StartSite = Callable[..., httpx2.Client]
BODY = b'{"prompt": "hi"}'


def test_a_key_may_have_spaces_around_it_and_its_scheme_any_case(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    for line in (
        *(
            f"Authorization:   Bearer   {secret}   ",
            f"authorization: bearer {secret}",
            f"Authorization:BEARER {secret}",
        ),
        *(f"Authorization: Bearer\t{secret}\t", f"api-key:  {secret}  ", f"API-Key:{secret}", f"x-api-key:\t{secret} "),
    ):
        (answer,) = raw(client, request("/chat", BODY, line))
        assert answer.status == 200, line


def test_a_key_that_is_sent_in_another_way_is_told_how_to_send_it(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    for line in (
        "Authorization:",
        "Authorization: Bearer",
        f"Authorization: {secret}",
        f"Authorization: Basic {secret}",
    ):
        (answer,) = raw(client, request("/chat", BODY, line))
        assert answer.status == 401, line
        assert "send Authorization: Bearer KEY" in answer.json()["error"]["message"]
        assert secret.encode() not in answer.body


@pytest.mark.parametrize("path", DOORS)
def test_a_request_of_http_1_0_is_answered_and_the_connection_closed(client: httpx2.Client, path: str) -> None:
    sent = request(path, json.dumps(DOORS[path]).encode(), close=False).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    (answer,) = raw(client, sent)
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert (answer.header("content-length") is None) == (path == "/chat/stream")


@pytest.mark.parametrize("path", DOORS)
def test_a_door_says_which_methods_it_has(client: httpx2.Client, path: str) -> None:
    assert "POST" in client.options(path).headers["allow"]
    head = client.head(path)
    assert head.status_code == (200 if path == "/v1/chat/completions" else 405)
    assert "POST" in head.headers["allow"]
    assert head.content == b""


@pytest.mark.parametrize("path", DOORS)
def test_a_large_body_may_wait_for_leave_to_be_sent(client: httpx2.Client, path: str) -> None:
    body = json.dumps(DOORS[path]).encode() + b" " * 2_000_000
    with connected(client) as connection:
        connection.sendall(request(path, body, "Expect: 100-Continue")[: -len(body)])
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert received(connection).startswith(b"HTTP/1.1 200 ")
