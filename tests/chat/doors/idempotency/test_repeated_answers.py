"""A repeated Idempotency-Key gets the saved answer, and only a good answer is saved."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord, IdempotencyKey
from llm.simulator import Behaviour, SimulatorThread
from tests.chat.doors.idempotency.asking import DOORS, every_door, post, some_doors


@every_door
def test_a_repeated_key_gets_the_saved_answer_byte_for_byte_and_no_model_is_asked_again(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    first = post(client, path, body, "k" * 255)
    asked = len(simulator.requests())
    second = post(client, path, body, "k" * 255)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert {name: second.headers.get(name) for name in first.headers if name.startswith("x-")} == {
        **{name: value for name, value in first.headers.items() if name.startswith("x-")},
        "x-request-id": second.headers["x-request-id"],
    }
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(simulator.requests()) == asked
    assert CallRecord.objects.count() == 1


@some_doors
def test_a_request_that_failed_leaves_the_key_free_and_its_error_is_not_saved(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(status=401, times=1))
    assert post(client, path, body).status_code in (401, 502)
    assert IdempotencyKey.objects.count() == 0
    assert post(client, path, body).status_code == 200
    assert CallRecord.objects.count() == 2


@pytest.mark.parametrize("events", ["text", "json"])
def test_a_stream_that_broke_is_not_saved(client: httpx2.Client, simulator: SimulatorThread, events: str) -> None:
    simulator.script("gpt-4o", Behaviour(cut_after=2, times=1))
    body = {"prompt": "a", "events": events}
    broken = post(client, "/chat/stream", body)
    assert "event: error" in broken.text
    whole = post(client, "/chat/stream", body)
    assert "event: error" not in whole.text
    assert "idempotent-replayed" not in whole.headers
    assert post(client, "/chat/stream", body).content == whole.content


@pytest.mark.parametrize(("path", "body"), [DOORS["stream"], DOORS["typed stream"], DOORS["v1 chat stream"]])
def test_a_stream_with_a_key_comes_as_it_is_made(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(answer="one two three four five six", tokens_per_second=10))
    came: list[float] = []
    with client.stream("POST", path, json=body, headers={"Idempotency-Key": "a"}) as response:
        text = b""
        for piece in response.iter_raw():
            came.append(time.monotonic())
            text += piece
    assert came[-1] - came[0] > 0.3
    assert len(came) >= 5
    assert post(client, path, body, "a").content == text


@pytest.mark.parametrize("times", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_big_answer_with_any_character_is_repeated_as_it_was(
    client: httpx2.Client, simulator: SimulatorThread, times: int
) -> None:
    simulator.script("gpt-4o", Behaviour(answer="\x00 \U0001f600 \u2028 \r\n " * times))
    for path, body in (DOORS["chat"], DOORS["stream"], DOORS["v1 chat"]):
        first = post(client, path, body, f"big{path}")
        assert len(first.content) > 10 * times
        again = post(client, path, body, f"big{path}")
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == first.content


def test_a_call_that_was_answered_from_the_cache_is_repeated_as_well(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    body = {"prompt": "a", "cache_ttl": 60}
    client.post("/chat", json=body)
    first, again = post(client, "/chat", body), post(client, "/chat", body)
    assert first.headers["x-cached"] == again.headers["x-cached"] == "true"
    assert first.content == again.content
    assert CallRecord.objects.count() == 2
