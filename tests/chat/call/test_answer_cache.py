"""Answers that are given again: CACHE_TTL, `cache_ttl` and `x-cache-ttl`, in process and in Redis"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from chat.call.answer_store import ENTRY_OVERHEAD_BYTES, MemoryAnswerStore
from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.database_servers import RedisServer
from tests.support.loopback import DIRECT, async_loopback_client
from tests.support.ports import free_port
from tests.support.reading.event_streams import parse
from tests.support.site_subprocess import SiteProcess

StartSite = Callable[..., httpx2.Client]

HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
V1 = "/v1/chat/completions"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["process", "redis"])
def client(request: pytest.FixtureRequest, start_site: StartSite) -> httpx2.Client:
    """With either store, and with CACHE_TTL at 0."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    return start_site(REDIS_URL=url, CACHE_TTL=0.0)


def ask(client: httpx2.Client, path: str = "/chat", **fields: Any) -> httpx2.Response:
    response = client.post(path, json={"prompt": "Hello", "cache_ttl": 60, **fields})
    assert response.status_code == 200, response.text
    return response


def ask_v1(client: httpx2.Client, **fields: Any) -> httpx2.Response:
    body = {"model": "gpt-4o", "messages": HELLO, "x-cache-ttl": 60, **fields}
    response = client.post(V1, json=body)
    assert response.status_code == 200, response.text
    return response


def text_of(response: httpx2.Response) -> str:
    if "event-stream" in response.headers["content-type"]:
        assert response.text.endswith("data: [DONE]\n\n")
        return parse(response.content).text
    return str(response.json()["content"])


def chunks_of(response: httpx2.Response) -> list[dict[str, Any]]:
    *chunks, last = [event.removeprefix("data: ") for event in response.text.split("\n\n") if event]
    assert last == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def test_nobody_gets_an_old_answer_who_did_not_ask_for_it(client: httpx2.Client, simulator: SimulatorThread) -> None:
    for _ in range(2):
        assert "x-cached" not in ask(client, cache_ttl=0).headers
        assert client.post("/chat", json={"prompt": "Hello"}).status_code == 200
        assert client.post(V1, json={"model": "gpt-4o", "messages": HELLO}).headers["x-cached"] == "false"
    assert len(simulator.requests()) == 6


@pytest.mark.parametrize("ttl", [-1, "60", True, None, 1e12])
def test_a_ttl_that_can_be_none_is_a_400_that_names_the_field(client: httpx2.Client, ttl: Any) -> None:
    response = client.post("/chat", json={"prompt": "a", "cache_ttl": ttl})
    assert response.status_code == 400
    assert "cache_ttl" in response.json()["error"]["message"]


@pytest.mark.parametrize("ttl", ["-1", "soon", "nan", "inf", ""])
def test_a_header_that_can_be_no_ttl_is_a_400_that_names_it(
    client: httpx2.Client, simulator: SimulatorThread, ttl: str
) -> None:
    response = client.post(V1, json={"model": "gpt-4o", "messages": HELLO}, headers={"x-cache-ttl": ttl})
    assert response.status_code == 400, response.text
    assert "x-cache-ttl" in response.json()["error"]["message"]
    assert simulator.requests() == []


def test_the_same_request_again_gets_the_same_answer_at_no_cost_and_is_on_record(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    first, second = ask(client), ask(client)
    assert len(simulator.requests()) == 1
    assert "x-cached" not in first.headers
    assert second.headers["x-cached"] == "true"
    before, after = first.json(), second.json()
    for name in ("content", "model_used", "provider_used", "finish_reason", "usage"):
        assert after[name] == before[name]
    assert (after["cost_usd"], after["attempts"]) == (0, [])
    assert before["cost_usd"] > 0
    call = CallRecord.objects.get(request_id=after["request_id"])
    assert (call.cached, call.cost_usd, call.status, call.attempts.count()) == (True, Decimal(0), "succeeded", 0)
    assert client.get(f"/calls/{call.request_id}").json()["cached"] is True
    stats = client.get("/stats").json()
    assert (stats["total_requests"], stats["cost_unknown_requests"]) == (2, 0)
    assert stats["total_cost_usd"] == before["cost_usd"]


def test_the_setting_counts_where_a_request_says_nothing_and_0_turns_it_off(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(CACHE_TTL=60.0, REDIS_URL="")
    body = {"prompt": "Hello"}
    cached = ["x-cached" in client.post("/chat", json=body | extra).headers for extra in ({}, {}, {"cache_ttl": 0})]
    assert cached == [False, True, False]
    assert len(simulator.requests()) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "hello"},
        {"model": "gpt-4o-mini"},
        {"model": "gpt-4o>gpt-4o-mini"},
        {"temperature": 0.1},
        {"seed": 0},
        {"stop": ["a"]},
        {"user": "b"},
    ],
    ids=str,
)
def test_any_other_request_asks_a_model(client: httpx2.Client, other: dict[str, Any]) -> None:
    ask(client)
    assert "x-cached" not in ask(client, **other).headers


def test_how_a_request_is_written_does_not_matter_only_what_it_asks(start_site: StartSite) -> None:
    client = start_site(ROUTES={"fast": "gpt-4o"}, REDIS_URL="")
    ask(client, model="gpt-4o", seed=1, temperature=1)
    assert ask(client, temperature=1.0, seed=1, model="fast").headers["x-cached"] == "true"
    assert ask(client, model="openai/gpt-4o", seed=1, temperature=1, timeout=9).headers["x-cached"] == "true"
    body = {"messages": HELLO, "temperature": 1.0, "seed": 1, "model": "gpt-4o", "x-cache-ttl": 5}
    assert client.post(V1, json=body).headers["x-cached"] == "true"


def test_whole_and_streamed_answers_are_one_on_the_native_doors(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    answer = "One\n\ntwo \U0001f600 three.\n"
    simulator.script("gpt-4o", Behaviour(answer=answer))
    for first, second in (("/chat", "/chat/stream"), ("/chat/stream", "/chat")):
        before, after = ask(client, first, seed=len(first)), ask(client, second, seed=len(first))
        assert after.headers["x-cached"] == "true"
        assert text_of(before) == text_of(after) == answer
    assert len(simulator.requests()) == 2


def test_a_cached_answer_as_typed_events_ends_with_the_whole_of_it(client: httpx2.Client) -> None:
    content = ask(client).json()["content"]
    response = ask(client, "/chat/stream", events="json")
    assert response.headers["x-cached"] == "true"
    done = json.loads(response.text.split("event: done\ndata: ")[1])
    assert (done["content"], done["cost_usd"], done["attempts"]) == (content, 0, [])


@pytest.mark.parametrize("first", ["whole", "streamed"])
def test_a_cached_answer_as_a_stream_has_usage_only_where_it_was_asked_for(client: httpx2.Client, first: str) -> None:
    ask_v1(client, **({"stream": True} if first == "streamed" else {}))
    whole = ask_v1(client)
    plain = ask_v1(client, stream=True)
    asked = ask_v1(client, stream=True, stream_options={"include_usage": True})
    assert {response.headers["x-cached"] for response in (whole, plain, asked)} == {"true"}
    content = whole.json()["choices"][0]["message"]["content"]
    assert content
    for response in (plain, asked):
        chunks = chunks_of(response)
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert "".join(choice["delta"].get("content") or "" for choice in choices) == content
        assert [choice["finish_reason"] for choice in choices][-1] == "stop"
    assert not any(chunk.get("usage") for chunk in chunks_of(plain))
    (usage,) = [chunk for chunk in chunks_of(asked) if chunk.get("usage")]
    assert (usage["choices"], usage["usage"]) == ([], whole.json()["usage"])


@pytest.mark.parametrize("first", [False, True])
def test_tool_calls_come_out_of_the_cache_as_the_sdk_reads_them(
    client: httpx2.Client, simulator: SimulatorThread, first: bool
) -> None:
    simulator.script("gpt-4o", Behaviour(tool_call=True))
    ask_v1(client, tools=TOOLS, stream=first)
    http = openai.DefaultHttpxClient(**DIRECT)
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="a", max_retries=0, http_client=http) as sdk:
        fields: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO, "tools": TOOLS}
        extra = {"x-cache-ttl": 60}
        whole = sdk.chat.completions.create(**fields, extra_body=extra)
        with sdk.chat.completions.stream(**fields, extra_body=extra) as stream:
            streamed = stream.get_final_completion()
    (call,), (again,) = whole.choices[0].message.tool_calls, streamed.choices[0].message.tool_calls
    assert (again.id, again.function.name, again.function.arguments) == (
        call.id,
        call.function.name,
        call.function.arguments,
    )
    assert call.function.name == "weather"
    assert streamed.choices[0].finish_reason == "tool_calls"
    assert len(simulator.requests()) == 1


def test_embeddings_are_given_again(client: httpx2.Client, simulator: SimulatorThread) -> None:
    body = {"model": "text-embedding-3-small", "input": "Hello"}
    first, second = (client.post("/v1/embeddings", json=body, headers={"x-cache-ttl": "9"}) for _ in range(2))
    assert (first.headers["x-cached"], second.headers["x-cached"]) == ("false", "true")
    assert first.json() == second.json()
    assert len(simulator.requests()) == 1


@pytest.mark.parametrize(
    ("path", "behaviour", "fields"),
    [
        ("/chat", Behaviour(status=401, times=1), {}),
        ("/chat", Behaviour(status=401, times=1), {"default_message": "Sorry."}),
        ("/chat/stream", Behaviour(status=401, times=1), {"default_message": "Sorry."}),
        ("/chat/stream", Behaviour(cut_after=2, times=1), {}),
        ("/chat/stream", Behaviour(error_after=2, times=1), {}),
    ],
    ids=["failure", "default message", "streamed default message", "cut stream", "error in a stream"],
)
def test_what_is_no_good_answer_is_not_kept(
    client: httpx2.Client, simulator: SimulatorThread, path: str, behaviour: Behaviour, fields: dict[str, Any]
) -> None:
    simulator.script("gpt-4o", behaviour)
    client.post(path, json={"prompt": "Hello", "cache_ttl": 60, **fields})
    assert "x-cached" not in ask(client, **fields).headers
    assert ask(client, **fields).headers["x-cached"] == "true"


def test_an_answer_is_given_again_no_longer_than_its_ttl(client: httpx2.Client) -> None:
    ask(client, cache_ttl=0.5)
    assert "x-cached" in ask(client, cache_ttl=0.5).headers
    time.sleep(0.6)
    assert "x-cached" not in ask(client, cache_ttl=0.5).headers


def test_a_stored_completion_that_comes_again_out_of_the_cache_is_listed_once(client: httpx2.Client) -> None:
    first, second = ask_v1(client, store=True), ask_v1(client, store=True)
    assert second.headers["x-cached"] == "true"
    assert first.json() == second.json()
    assert [entry["id"] for entry in client.get(V1).json()["data"]] == [first.json()["id"]]
    client.delete(f"{V1}/{first.json()['id']}")
    assert client.get(f"{V1}/{first.json()['id']}").status_code == 404


async def test_in_process_the_entries_are_bounded_in_bytes() -> None:
    room = ENTRY_OVERHEAD_BYTES + 1000
    store = MemoryAnswerStore(max_bytes=3 * room)
    for number in range(10):
        await store.put(str(number), "x" * 1000, 60)
    kept = [number for number in range(10) if await store.get(str(number))]
    assert len(kept) == 3
    assert 9 in kept
    await store.put("too big", "x" * 4 * room, 60)
    assert await store.get("too big") is None


@pytest.mark.slow
async def test_redis_is_shared_by_two_processes(
    tmp_path: Path, simulator: SimulatorThread, redis_server: RedisServer
) -> None:
    made = [SiteProcess(tmp_path, upstream=simulator.base_url, REDIS_URL=redis_server.url) for _ in range(2)]
    made[0].migrate()
    try:
        answers = []
        for site in made:
            site.start()
            async with async_loopback_client(base_url=site.base_url, timeout=20) as client:
                answers.append(await client.post("/chat", json={"prompt": "Hello", "cache_ttl": 60}))
        assert ["x-cached" in answer.headers for answer in answers] == [False, True]
        assert len(simulator.requests()) == 1
    finally:
        for site in made:
            site.close()


def test_what_is_in_redis_ends_with_the_ttl_and_names_neither_prompt_nor_key(
    start_site: StartSite, redis_server: RedisServer
) -> None:
    ask(start_site(REDIS_URL=redis_server.url), cache_ttl=60)
    with redis_server.client() as redis:
        (name,) = redis.keys()
        assert 55_000 < redis.pttl(name) <= 60_000
        assert b"Hello" not in name


GARBAGE = [
    b"",
    b"\xff\xfe",
    b"{",
    b"null",
    b"[]",
    b"1",
    b'"a"',
    b"{}",
    b'{"completion": null, "model_used": "a", "provider_used": "b", "usage": null}',
    b'{"completion": {}, "model_used": "a", "provider_used": "b", "usage": null}',
    b'{"completion": {"choices": [{}]}, "model_used": "a", "provider_used": "b", "usage": null}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
def test_garbage_in_redis_is_no_answer_and_no_error(
    start_site: StartSite, redis_server: RedisServer, simulator: SimulatorThread, path: str
) -> None:
    client = start_site(REDIS_URL=redis_server.url)
    ask(client, path)
    with redis_server.client() as redis:
        (name,) = redis.keys()
        good = json.loads(redis.get(name) or b"")
        wrong = {"prompt_tokens": "many", "completion_tokens": None}
        for garbage in [*GARBAGE, json.dumps(good | {"usage": wrong}).encode()]:
            redis.set(name, garbage)
            assert "x-cached" not in ask(client, path).headers, garbage
            assert "x-cached" in ask(client, path).headers
        redis.delete(name)
        redis.lpush(name, "a list")
        assert "x-cached" not in ask(client, path).headers


def away(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "chat.cache"]


def test_without_redis_the_model_answers_at_once_and_the_log_says_so_once(
    start_site: StartSite, simulator: SimulatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    client = start_site(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    begun = time.monotonic()
    for _ in range(10):
        assert "x-cached" not in ask(client).headers
    assert time.monotonic() - begun < 4  # 5 s if each waited half a second
    assert len(simulator.requests()) == 10
    assert away(caplog) == ["cache_away"]


def test_a_redis_that_never_answers_costs_half_a_second_and_not_for_every_call(
    start_site: StartSite, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = start_site(REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        begun = time.monotonic()
        for _ in range(10):
            ask(client)
        assert time.monotonic() - begun < 4  # 5 s if each waited half a second
    assert away(caplog) == ["cache_away"]


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_redis_that_goes_in_between_is_done_without_and_used_again_when_it_is_back(
    start_site: StartSite,
    redis_server: RedisServer,
    how: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chat.call.answer_store.REST_SECONDS", 1.0)
    client = start_site(REDIS_URL=redis_server.url)
    ask(client)
    assert "x-cached" in ask(client).headers
    if how == "killed":
        redis_server.kill()
    else:
        redis_server.freeze()
    begun = time.monotonic()
    assert "x-cached" not in ask(client).headers
    assert time.monotonic() - begun < 4
    assert away(caplog) == ["cache_away"]
    redis_server.kill()
    redis_server.start()
    time.sleep(1.1)
    ask(client)
    assert "x-cached" in ask(client).headers
    assert away(caplog) == ["cache_away", "cache_back"]


def test_a_redis_that_was_restarted_between_two_calls_is_not_noticed(
    start_site: StartSite, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = start_site(REDIS_URL=redis_server.url)
    ask(client)
    redis_server.kill()
    redis_server.start()
    ask(client)
    assert "x-cached" in ask(client).headers
    assert away(caplog) == []


async def test_many_calls_at_once_take_turns_at_redis(
    start_site: StartSite, redis_server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.call.answer_store.REDIS_SECONDS", 30)  # turns are tried here, not how fast the machine is
    site = start_site(REDIS_URL=redis_server.url)
    caplog.set_level(logging.WARNING)
    async with async_loopback_client(
        base_url=site.base_url, timeout=30, limits=httpx2.Limits(max_connections=None)
    ) as client:
        body = {"prompt": "Hello", "cache_ttl": 60}
        await client.post("/chat", json=body)
        answers = await asyncio.gather(*(client.post("/chat", json=body) for _ in range(200)))
    assert {answer.headers.get("x-cached") for answer in answers} == {"true"}
    assert away(caplog) == []
