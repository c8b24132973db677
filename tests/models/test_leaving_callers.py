"""Callers who leave a real model server, through the service: it must not work on for nobody."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest

from tests.models.comparing import comparable
from tests.models.conftest import FREE_SECONDS, Servers, on_record
from tests.models.questions import CHATS, LONG, Json
from tests.models.server.model_server import ModelServer
from tests.support.wire import connected, request

StartService = Callable[..., httpx2.Client]

# A stream that goes on for long, by the door that gives it.
LONG_STREAMS: dict[str, Json] = {
    "/v1/chat/completions": {**LONG, "stream": True},
    "/chat/stream": {"messages": LONG["messages"], "max_tokens": LONG["max_tokens"], "stop": ["never said"]},
    "/v1/completions": {"prompt": "One, two, three,", "max_tokens": 900, "ignore_eos": True, "stream": True},
    "/v1/responses": {"input": "Tell me a long story.", "max_output_tokens": 900, "ignore_eos": True, "stream": True},
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/stream", "/v1/completions", "/v1/responses"])
def test_the_slot_is_free_at_once_when_a_stream_s_caller_leaves(
    servers: Servers, service: httpx2.Client, path: str
) -> None:
    with service.stream("POST", path, json={**LONG_STREAMS[path], "model": servers.first.model}) as response:
        assert response.status_code == 200
        next(response.iter_bytes())
    servers.first.becomes_free(within=FREE_SECONDS)
    call = on_record()
    assert (call.status, call.usage_estimated) == ("cancelled", True)
    assert 0 < call.completion_tokens < LONG["max_tokens"]


def test_a_whole_answer_s_caller_leaves_and_the_request_is_closed_at_once(
    servers: Servers, service: httpx2.Client
) -> None:
    """The server has no price, so nothing is read on. It works on all the same.

    Build b11549 does not notice that the connection of a whole answer is closed. It notices it for a stream.
    """
    ask_and_leave(service, servers.first, {**LONG, "max_tokens": 300})
    call = on_record()
    assert (call.status, call.attempts.get().status) == ("cancelled", "cancelled")
    assert servers.first.busy_slots() == 1


def test_a_whole_answer_that_is_fetched_as_a_stream_frees_the_slot_when_its_caller_leaves(
    servers: Servers, start_service: StartService
) -> None:
    service = start_service(FETCH_AS_STREAMS=frozenset({"first"}))
    ask_and_leave(service, servers.first, LONG)
    servers.first.becomes_free(within=FREE_SECONDS)
    assert on_record().status == "cancelled"
    # What is put together from the stream equals the answer that the server gives directly.
    answer = service.post("/v1/chat/completions", json={**CHATS["two choices"], "model": servers.first.model})
    assert comparable(answer.json()) == comparable(servers.first.ask("/chat/completions", CHATS["two choices"]).json())


def ask_and_leave(service: httpx2.Client, server: ModelServer, body: Json) -> None:
    """Ask for an answer, and leave while the server works on it."""
    with connected(service) as caller:
        caller.sendall(request("/v1/chat/completions", json.dumps({**body, "model": server.model}).encode()))
        server.becomes_busy()


@pytest.mark.parametrize("route", ["first/smollm2", "first/smollm2|second/smollm2"])
def test_the_slots_are_free_when_the_time_of_a_call_is_up(servers: Servers, service: httpx2.Client, route: str) -> None:
    body = {**LONG, "model": route, "stream": True}
    answer = service.post("/v1/chat/completions", json=body, headers={"x-timeout": "2"})
    assert "upstream_timeout" in answer.text or "stream_interrupted" in answer.text
    assert "[DONE]" not in answer.text
    for server in servers:
        server.becomes_free(within=FREE_SECONDS)
    assert on_record().status == "failed"
