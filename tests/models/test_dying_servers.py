"""A real model server that is killed, and comes back, behind the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx2

from chat.models import Attempt
from tests.models.comparing import said
from tests.models.conftest import Servers, on_record
from tests.models.questions import CHATS, LONG, Json
from tests.models.server.model_server import START_SECONDS

StartService = Callable[..., httpx2.Client]


def test_a_stream_whose_server_is_killed_tells_its_caller(servers: Servers, service: httpx2.Client) -> None:
    body = {**LONG, "model": servers.second.model, "stream": True}
    with service.stream("POST", "/v1/chat/completions", json=body) as response:
        parts = response.iter_text()
        begun = next(parts)
        servers.second.kill()
        rest = begun + "".join(parts)
    assert "stream_interrupted" in rest and "[DONE]" not in rest
    call = on_record()
    assert (call.status, call.error_code) == ("failed", "stream_interrupted")
    assert call.body.content


def test_a_whole_answer_whose_server_is_killed_goes_to_the_next_model(servers: Servers, service: httpx2.Client) -> None:
    answers: list[httpx2.Response] = []
    route = f"{servers.second.model}>{servers.first.model}"

    def ask() -> None:
        answers.append(service.post("/v1/chat/completions", json={**LONG, "max_tokens": 40, "model": route}))

    asking = threading.Thread(target=ask)
    asking.start()
    servers.second.becomes_busy()
    servers.second.kill()
    asking.join()
    assert (answers[0].status_code, answers[0].headers["x-provider-used"]) == (200, "first")
    assert [attempt.error_code for attempt in Attempt.objects.all()] == ["upstream_unavailable", ""]


def test_a_breaker_opens_for_a_dead_server_and_closes_when_it_is_back(
    servers: Servers, start_service: StartService
) -> None:
    service = start_service(BREAKER_FAILURES=2, BREAKER_COOLDOWN=2.0, MAX_RETRIES=0)
    body: Json = {**CHATS["text"], "model": f"{servers.second.model}>{servers.first.model}"}

    def ask() -> str:
        answer = service.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200
        return str(answer.headers["x-provider-used"])

    assert ask() == "second"
    servers.second.kill()
    assert [ask() for _ in range(3)] == ["first"] * 3
    errors = [attempt.error_code for attempt in Attempt.objects.filter(provider="second").order_by("id")]
    assert errors == ["", "upstream_unavailable", "upstream_unavailable", "circuit_open"]
    assert len(service.get("/health/ready").json()["checks"]["circuit_breakers"]) == 1
    servers.second.start()
    time.sleep(2)  # the cooldown; one trial then closes the breaker
    assert [ask(), ask()] == ["second", "second"]
    assert service.get("/health/ready").json()["checks"]["circuit_breakers"] == {}


def test_a_server_that_still_loads_its_weights_is_left_for_the_next(
    servers: Servers, start_service: StartService
) -> None:
    service = start_service(BREAKER_COOLDOWN=0.5)
    body = {"input": "hello", "model": f"{servers.second.model}>text-embedding-3-small"}
    servers.second.kill()
    servers.second.launch()
    answered_by: list[str] = []
    give_up = time.monotonic() + START_SECONDS
    while not answered_by or answered_by[-1] != "second":
        assert time.monotonic() < give_up, answered_by
        answer = service.post("/v1/embeddings", json=body)
        assert answer.status_code == 200
        answered_by.append(answer.headers["x-provider-used"])
    assert answered_by[0] == "openai"
    errors = set(Attempt.objects.filter(provider="second", status="failed").values_list("error_code", "http_status"))
    assert errors <= {("upstream_unavailable", None), ("upstream_failed", 503)}


def test_a_server_that_is_started_again_is_asked_over_a_new_connection(
    servers: Servers, service: httpx2.Client
) -> None:
    """The connection that was kept open died with the server. A call must not fail for that."""
    body = {**CHATS["text"], "model": servers.second.model}
    first = service.post("/v1/chat/completions", json=body)
    servers.second.kill()
    servers.second.start()
    again = service.post("/v1/chat/completions", json=body)
    assert (first.status_code, again.status_code) == (200, 200)
    assert said(again.json()) == said(first.json())
    assert Attempt.objects.count() == 2


def test_a_race_goes_on_when_one_of_its_servers_is_killed(servers: Servers, service: httpx2.Client) -> None:
    answers: list[httpx2.Response] = []
    body = {**LONG, "max_tokens": 60, "model": f"{servers.second.model}|{servers.first.model}"}
    asking = threading.Thread(target=lambda: answers.append(service.post("/v1/chat/completions", json=body)))
    asking.start()
    servers.second.becomes_busy()
    servers.second.kill()
    asking.join()
    assert (answers[0].status_code, answers[0].headers["x-provider-used"]) == (200, "first")
    lost, won = Attempt.objects.order_by("ordinal")
    assert (lost.provider, lost.status, won.status) == ("second", "failed", "succeeded")
