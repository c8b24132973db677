"""Scripts of models, from Python and over HTTP, and the list of requests that were seen."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx2
import pytest

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import ask, events_until_the_end


async def test_a_script_goes_from_behaviour_to_behaviour_and_ends_healthy(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(status=500, times=2), Behaviour(status=429, times=1))
    assert [(await ask(http)).status_code for _ in range(5)] == [500, 500, 429, 200, 200]


async def test_a_model_is_scripted_and_restored_over_http(http: httpx2.AsyncClient) -> None:
    put = await http.put("/_script/vendor/m", json=[{"status": 500, "times": 1}, {"answer": "scripted"}])
    assert put.status_code == 200
    assert [each["times"] for each in put.json()["behaviours"]] == [1, None]
    assert (await ask(http, "vendor/m")).status_code == 500
    assert (await ask(http, "vendor/m")).json()["choices"][0]["message"]["content"] == "scripted"
    assert (await ask(http, "other")).status_code == 200
    for path in ("/_script/vendor/m", "/_script"):
        await http.put("/_script/vendor/m", json={"status": 503})
        assert (await ask(http, "vendor/m")).status_code == 503
        assert (await http.delete(path)).status_code == 204
        assert (await ask(http, "vendor/m")).status_code == 200


@pytest.mark.parametrize(
    ("script", "field"),
    [
        ({"latency": 1}, "latency"),
        ({"latency_s": -1}, "latency_s"),
        ({"latency_s": True}, "latency_s"),
        ({"first_token_s": float("inf")}, "first_token_s"),
        ({"tokens_per_second": 0}, "tokens_per_second"),
        ({"status": 99}, "status"),
        ({"status": "500"}, "status"),
        ({"error": "text"}, "error"),
        ({"retry_after": "1\r\nevil: 1"}, "retry_after"),
        ({"cut_after": 1.5}, "cut_after"),
        ({"refuse": "max_tokens"}, "refuse"),
        ({"refuse": [1]}, "refuse"),
        ({"tail_share": 2}, "tail_share"),
        ({"times": 0}, "times"),
        ({"empty": 1}, "empty"),
    ],
)
async def test_a_wrong_script_is_refused_and_the_field_is_named(
    http: httpx2.AsyncClient, script: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        Behaviour.from_dict(script)
    response = await http.put("/_script/m", content=json.dumps([{}, script]))
    assert response.status_code == 400
    assert field in response.json()["error"]["message"]


def test_a_behaviour_survives_the_way_to_json_and_back() -> None:
    behaviour = Behaviour(status=429, error={"code": "x"}, refuse=("a", "b"), tail_share=0.1, times=3)
    assert Behaviour.from_dict(json.loads(json.dumps(behaviour.to_dict()))) == behaviour
    assert Behaviour.from_dict({}) == Behaviour()


async def test_what_was_seen_has_the_body_but_never_the_key(http: httpx2.AsyncClient) -> None:
    http.headers["Authorization"] = "Bearer sk-secret"
    before = time.time()
    await events_until_the_end(http, max_tokens=4)
    response = await http.get("/_requests")
    assert "sk-secret" not in response.text
    (seen,) = response.json()["requests"]
    assert (seen["model"], seen["stream"], seen["path"]) == ("m", True, "/v1/chat/completions")
    assert (seen["ended"], seen["chunks_sent"], seen["disconnected_after_ms"]) == ("complete", 4, None)
    assert seen["body"]["max_tokens"] == 4
    assert before - 1 < seen["started_at"] < time.time() + 1
    assert response.json()["open"] == 0
    assert (await http.delete("/_requests")).status_code == 204
    assert (await http.get("/_requests")).json() == {"requests": [], "open": 0}


async def test_only_the_newest_requests_are_kept(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1_005):
        with simulator.state.recording(f"/{number}"):
            pass
    requests = simulator.state.requests()
    assert (len(requests), requests[-1]["path"]) == (1_000, "/1004")
