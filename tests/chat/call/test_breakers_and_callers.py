"""Whose failures open a circuit breaker for whom, at the doors."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from tests.access.conftest import MakeKey, make_key
from tests.support.upstreams.wire_answers import good, whole
from tests.support.upstreams.wire_replay import Asked, Step, WireUpstream

__all__ = ["make_key"]

ReplayedSite = Callable[..., tuple[httpx2.Client, WireUpstream]]

BOTH_DOORS = pytest.mark.parametrize("door", ["/chat", "/chat/stream"])


def fails_for_odd_requests(asked: Asked) -> list[Step]:
    return whole({"error": {"message": "boom"}}, 500) if "odd" in str(asked.body) else good(asked)


@BOTH_DOORS
def test_one_callers_odd_requests_take_no_model_from_the_others(
    replayed_site: ReplayedSite, make_key: MakeKey, door: str
) -> None:
    client, upstream = replayed_site({"m": fails_for_odd_requests}, BREAKER_FAILURES=2, MAX_RETRIES=0)
    odd, other = make_key("odd"), make_key("other")
    for _ in range(5):
        assert client.post(door, json={"prompt": "odd", "model": "m>good"}, headers=odd).status_code == 200
    assert upstream.count("m") == 2  # for this caller the breaker is open
    response = client.post(door, json={"prompt": "hi", "model": "m>good"}, headers=other)
    assert response.status_code == 200
    assert upstream.count("m") == 3
    assert client.get("/health/ready").json()["checks"]["circuit_breakers"] == {}


@BOTH_DOORS
def test_a_model_that_fails_for_several_callers_is_skipped_for_all(
    replayed_site: ReplayedSite, make_key: MakeKey, door: str
) -> None:
    down = whole({"error": {"message": "down"}}, 500)
    client, upstream = replayed_site({"m": down}, BREAKER_FAILURES=2, MAX_RETRIES=0)
    for name in ("a", "b"):
        assert client.post(door, json={"prompt": "hi", "model": "m>good"}, headers=make_key(name)).status_code == 200
    assert client.post(door, json={"prompt": "hi", "model": "m>good"}, headers=make_key("c")).status_code == 200
    assert upstream.count("m") == 2


def test_embeddings_that_a_chat_model_fails_at_leave_its_chat_alone(replayed_site: ReplayedSite) -> None:
    def chats_only(asked: Asked) -> list[Step]:
        return good(asked) if "chat" in asked.path else whole({"error": {"message": "no pooling"}}, 500)

    client, _ = replayed_site({"m": chats_only}, BREAKER_FAILURES=2, MAX_RETRIES=0)
    for _ in range(3):
        assert client.post("/v1/embeddings", json={"input": "hi", "model": "m"}).status_code == 500
    assert client.post("/chat", json={"prompt": "hi", "model": "m>good"}).json()["model_used"] == "m"
    assert client.get("/health/ready").json()["checks"]["circuit_breakers"] == {"openai/m embeddings": "open"}
