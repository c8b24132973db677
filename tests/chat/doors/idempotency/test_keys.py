"""Which keys the header Idempotency-Key may have, and for which requests and how long a key is taken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.utils import timezone

from chat.models import CallRecord, IdempotencyKey
from llm.simulator import SimulatorThread
from tests.chat.doors.idempotency.asking import DOORS, message_of, post, some_doors


@pytest.mark.parametrize("key", ["", "two words", "k" * 256, b"\xc3\xa9"], ids=repr)
@some_doors
def test_a_key_that_can_be_none_is_a_400_that_names_the_header_and_asks_no_model(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any, key: Any
) -> None:
    response = client.post(path, json=body, headers={"Idempotency-Key": key})
    assert response.status_code == 400, response.text
    assert "Idempotency-Key" in message_of(response)
    if path.startswith("/v1"):
        assert response.json()["error"]["param"] == "Idempotency-Key"
    assert simulator.requests() == []


@some_doors
def test_a_key_that_comes_with_another_body_is_a_422(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    post(client, path, body)
    response = post(client, path, body | {"temperature": 0.1})
    assert response.status_code == 422
    assert "different" in message_of(response)
    assert response.json()["error"]["code"] == "idempotency_key_reused"
    assert len(simulator.requests()) == 1


def test_a_key_that_comes_to_another_address_or_with_another_route_is_a_422(client: httpx2.Client) -> None:
    path, body = DOORS["v1 chat"]
    post(client, "/chat", {"prompt": "a"}, "native")
    assert post(client, "/chat/stream", {"prompt": "a"}, "native").status_code == 422
    assert post(client, path, body).status_code == 200
    assert post(client, path, body, x_route="gpt-4o-mini").status_code == 422
    assert post(client, path, body, x_timeout="9").status_code == 200


def test_the_order_of_the_fields_makes_no_other_body(client: httpx2.Client) -> None:
    post(client, "/chat", {"prompt": "a", "model": "gpt-4o"})
    response = post(client, "/chat", {"model": "gpt-4o", "prompt": "a"})
    assert response.headers["idempotent-replayed"] == "true"


def test_a_request_that_is_not_valid_takes_no_key(client: httpx2.Client) -> None:
    assert post(client, "/chat", {"prompt": ""}).status_code == 400
    assert post(client, "/chat", {"prompt": "a", "model": "a||b"}).status_code == 400
    assert IdempotencyKey.objects.count() == 0


def test_keys_of_another_api_key_are_apart(client: httpx2.Client, simulator: SimulatorThread) -> None:
    post(client, "/chat", {"prompt": "a"})
    IdempotencyKey.objects.update(api_key="somebody")
    assert "idempotent-replayed" not in post(client, "/chat", {"prompt": "another"}).headers
    assert len(simulator.requests()) == 2


def test_a_key_is_free_for_any_request_after_24_hours(client: httpx2.Client) -> None:
    post(client, "/chat", {"prompt": "a"})
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    assert post(client, "/chat", {"prompt": "b"}).status_code == 422
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    answer = post(client, "/chat", {"prompt": "b"})
    assert answer.status_code == 200
    assert "idempotent-replayed" not in answer.headers
    assert post(client, "/chat", {"prompt": "b"}).content == answer.content


def test_a_key_whose_request_has_left_no_row_is_free_after_a_moment(client: httpx2.Client) -> None:
    post(client, "/chat", {"prompt": "a"})
    CallRecord.objects.all().delete()
    IdempotencyKey.objects.update(answered=False, created_at=timezone.now() - timedelta(seconds=10))
    assert post(client, "/chat", {"prompt": "a"}).status_code == 409
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(seconds=30))
    assert post(client, "/chat", {"prompt": "a"}).status_code == 200
