"""A real model server with no slot left, behind the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2

from chat.models import Attempt, CallRecord
from tests.models.comparing import said, said_by
from tests.models.conftest import FREE_SECONDS, Servers
from tests.models.questions import CHATS, Json
from tests.models.server.model_server import ModelServer

StartService = Callable[..., httpx2.Client]


@contextmanager
def every_slot_taken(server: ModelServer) -> Iterator[None]:
    """Both slots of the server work for other callers, who have come directly."""
    leave = threading.Event()

    def occupy() -> None:
        with server.long_stream() as response:
            for _ in response.iter_bytes():
                if leave.is_set():
                    return

    others = [threading.Thread(target=occupy) for _ in range(2)]
    for other in others:
        other.start()
    try:
        server.becomes_busy(slots=2)
        yield
    finally:
        leave.set()
        for other in others:
            other.join()
        server.becomes_free(within=FREE_SECONDS)


def said_in(answer: httpx2.Response) -> list[Json]:
    return said(answer.json())


def test_a_busy_server_lets_a_call_wait_until_a_slot_is_free(servers: Servers, service: httpx2.Client) -> None:
    answers: list[httpx2.Response] = []

    def ask() -> None:
        answers.append(service.post("/v1/chat/completions", json={**CHATS["text"], "model": servers.first.model}))

    asking = threading.Thread(target=ask)
    with every_slot_taken(servers.first):
        asking.start()
        time.sleep(1)
        assert not answers
    asking.join()
    direct = servers.first.ask("/chat/completions", CHATS["text"]).json()
    assert said(answers[0].json()) == said(direct)
    assert CallRecord.objects.get().attempts.count() == 1


def test_a_race_goes_on_while_one_of_its_servers_is_busy(servers: Servers, service: httpx2.Client) -> None:
    with every_slot_taken(servers.first):
        route = f"{servers.first.model}|{servers.second.model}"
        answer = service.post("/v1/chat/completions", json={**CHATS["text"], "model": route})
        assert (answer.status_code, answer.headers["x-provider-used"]) == (200, "second")
        # The one that waits for a slot is cut as well, and never gets one.
        assert {attempt.provider: attempt.status for attempt in Attempt.objects.all()}["first"] == "cancelled"


def test_a_busy_server_that_sends_no_first_token_in_time_is_left_for_the_next(
    servers: Servers, start_service: StartService
) -> None:
    service = start_service(FIRST_TOKEN_TIMEOUT=1.0)
    with every_slot_taken(servers.first):
        body = {**CHATS["text"], "stream": True, "model": f"{servers.first.model}>gpt-4o"}
        answer = service.post("/v1/chat/completions", json=body)
        assert answer.headers["x-model-used"] == "gpt-4o"
    assert [attempt.error_code for attempt in Attempt.objects.all()] == ["upstream_timeout", ""]


def test_more_callers_than_slots_all_get_their_answers(servers: Servers, service: httpx2.Client) -> None:
    bodies = [{**CHATS["text"], "model": servers.first.model, "stream": bool(number % 2)} for number in range(8)]
    with ThreadPoolExecutor(len(bodies)) as callers:
        answers = list(callers.map(lambda body: service.post("/v1/chat/completions", json=body), bodies))
    whole, streamed = answers[0], answers[1]
    for number, answer in enumerate(answers):
        assert (said_by if number % 2 else said_in)(answer) == said_by(streamed) == said_in(whole)
    assert [call.status for call in CallRecord.objects.all()] == ["succeeded"] * len(bodies)
    assert Attempt.objects.count() == len(bodies)


def test_a_connection_that_the_server_closes_after_a_hundred_requests_fails_no_call(
    servers: Servers, service: httpx2.Client
) -> None:
    body = {"input": "hello", "model": servers.second.model}
    statuses = {service.post("/v1/embeddings", json=body).status_code for _ in range(120)}
    assert (statuses, Attempt.objects.count()) == ({200}, 120)
