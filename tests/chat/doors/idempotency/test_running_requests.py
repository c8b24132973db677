"""While the request of an Idempotency-Key runs, the key is taken, until its caller leaves."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from llm.simulator import Behaviour, SimulatorThread
from tests.chat.doors.idempotency.asking import post, some_doors
from tests.support.waiting import eventually

StartSite = Callable[..., httpx2.Client]


@contextmanager
def running(client: httpx2.Client, path: str, body: Any, key: str = "key-1", **headers: str) -> Iterator[socket.socket]:
    """A request that has been sent. At the end of the block its caller goes away."""
    address = urlsplit(str(client.base_url))
    sent = json.dumps(body).encode()
    lines = {"Host": "localhost", "Content-Type": "application/json", "Idempotency-Key": key, **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
        yield connection


@some_doors
def test_while_the_first_request_runs_the_second_is_a_409_that_says_when_to_come_back(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=60))
    with running(client, path, body):
        eventually(simulator.requests)
        response = post(client, path, body)
    assert response.status_code == 409
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["code"] == "idempotency_key_in_use"
    assert len(simulator.requests()) == 1


@some_doors
def test_a_caller_who_left_leaves_the_key_free_if_nothing_is_read_on(
    start_site: StartSite, simulator: SimulatorThread, path: str, body: Any
) -> None:
    client = start_site(READ_ON_SECONDS=0.0)
    simulator.script("gpt-4o", Behaviour(latency_s=60, times=1))
    with running(client, path, body):
        eventually(simulator.requests)
    eventually(lambda: post(client, path, body).status_code == 200)
    eventually(lambda: [seen["ended"] for seen in simulator.requests()] == ["disconnected", "complete"])


def test_a_request_id_that_is_used_again_with_the_key_does_not_open_a_key_whose_request_runs(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(READ_ON_SECONDS=0.0)
    simulator.script("gpt-4o", Behaviour(status=401, times=1), Behaviour(latency_s=60))
    assert post(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again").status_code == 502
    with running(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again"):
        eventually(lambda: len(simulator.requests()) == 2)
        for _ in range(3):  # before it has a row, and after
            assert post(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again").status_code == 409
            time.sleep(0.7)
    assert len(simulator.requests()) == 2
    simulator.script("gpt-4o")
    eventually(lambda: post(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again").status_code == 200)
