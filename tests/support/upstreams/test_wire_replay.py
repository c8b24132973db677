"""The upstream that plays raw bytes, and the service in front of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.support.upstreams.wire_answers import GOOD_TEXT, chat_stream, chat_whole, slow, whole
from tests.support.upstreams.wire_replay import WIRE_CASES, WireUpstream
from tests.support.wire import DOORS

ReplayedSite = Callable[..., tuple[httpx2.Client, WireUpstream]]


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_good_model_answers_at_every_door(replayed_site: ReplayedSite, path: str, stream: bool) -> None:
    client, upstream = replayed_site({})
    wanted: dict[str, Any] = {"models": ["good", "wide"]} if path == "/chat/parallel" else {"model": "good"}
    wanted = {"primary_model": "good"} if path == "/chat/fallback" else wanted
    if path.startswith("/v1") and path != "/v1/embeddings":
        wanted["stream"] = stream
    answer = client.post(path, json={**DOORS[path], **wanted})
    assert answer.status_code == 200, answer.text
    assert "embedding" in answer.text or GOOD_TEXT.split()[-1] in answer.text
    asked = upstream.seen[0]
    assert asked.model in ("good", "wide")
    assert asked.headers["content-type"] == "application/json"
    assert asked.path.startswith("/v1/")
    assert asked.path.count("/v1") == 1


def test_steps_are_played_byte_by_byte_and_the_connection_is_kept() -> None:
    case = WIRE_CASES["upstream-does-not-stream"]["upstreams"]
    with WireUpstream(case) as upstream, httpx2.Client(verify=False, trust_env=False) as client:
        for _ in range(2):
            answer = client.post(f"{upstream.base_url}/chat/completions", json={"model": "whole"})
            assert answer.json()["choices"][0]["message"]["content"] == "Hello"
        assert client.post(f"{upstream.base_url}/chat/completions", json={"model": "other"}).status_code == 404
    assert (upstream.count("whole"), upstream.count("other")) == (2, 1)


def test_it_notes_when_its_peer_closed() -> None:
    with WireUpstream({"slow": slow(20)}) as upstream, httpx2.Client(verify=False, trust_env=False) as client:
        with pytest.raises(httpx2.ReadTimeout):
            client.post(f"{upstream.base_url}/chat/completions", json={"model": "slow"}, timeout=0.2)
        give_up = time.monotonic() + 5
        while upstream.seen[0].cut_at is None and time.monotonic() < give_up:
            time.sleep(0.01)
        cut_after_seconds = upstream.seen[0].cut_after_seconds
    assert cut_after_seconds is not None
    assert 0.1 < cut_after_seconds < 1


def test_an_answer_that_says_no_length_ends_with_its_connection() -> None:
    steps = [{"send": "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhi"}]
    models = {"short": steps, "streamed": chat_stream("a", "b"), "whole": whole(chat_whole({"content": "a"}))}
    with WireUpstream(models) as upstream, httpx2.Client(verify=False, trust_env=False) as client:
        texts = [client.post(f"{upstream.base_url}/x", json={"model": model}).text for model in models]
    assert texts[0] == "hi"
    assert texts[1].endswith("data: [DONE]\n\n")
