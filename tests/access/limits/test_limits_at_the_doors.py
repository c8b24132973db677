"""Limits as a caller meets them, in one process, and in two processes with a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from access.limits import limiter as limiter_module
from access.limits import meters as meters_module
from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.access.conftest import MakeKey
from tests.support.database_servers import RedisServer
from tests.support.loopback import async_loopback_client, loopback_client
from tests.support.site_subprocess import SiteProcess

StartSite = Callable[..., httpx2.Client]
ORDER = {"prompt": "a", "model": "gpt-4o"}


def statuses(base_url: str, calls: int, headers: dict[str, str] | None = None, **order: Any) -> Counter[int]:
    """How often each status was answered to so many calls at once, each on a connection of its own."""

    async def call() -> int:
        async with async_loopback_client(base_url=base_url, timeout=60) as client:
            return (await client.post("/chat", json={**ORDER, **order}, headers=headers)).status_code

    async def burst() -> list[int]:
        return await asyncio.gather(*(call() for _ in range(calls)))

    return Counter(asyncio.run(burst()))


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_of_a_hundred_calls_at_once_exactly_ten_are_let_through(start_site: StartSite) -> None:
    client = start_site(RATE_LIMIT="10/min")
    assert statuses(str(client.base_url), 100) == {200: 10, 429: 90}
    assert CallRecord.objects.count() == 10


def test_a_refusal_says_which_limit_and_until_when(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site(RATE_LIMIT="2/h")
    headers = make_key("app")
    first = client.post("/chat", json=ORDER, headers=headers)
    assert first.headers["ratelimit-limit"] == first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["ratelimit-remaining"] == first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"] == "3600s"
    streamed = client.post("/chat/stream", json=ORDER, headers=headers)
    assert streamed.headers["ratelimit-remaining"] == "0"
    for door in ("/chat", "/chat/parallel", "/chat/fallback", "/chat/stream"):
        refused = client.post(door, json={"prompt": "a"}, headers=headers)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rate_limited"
        assert "The limit of the API key 'app' is 2 requests an hour" in refused.json()["error"]["message"]
        assert 3500 < int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["ratelimit-remaining"] == "0"
    assert CallRecord.objects.count() == 2
    assert client.post("/chat", json=ORDER, headers=make_key("other")).status_code == 200
    assert (
        client.post("/chat", json=ORDER, headers=make_key("free", rate_limit="none")).headers.get("ratelimit-limit")
        is None
    )


def test_input_that_is_refused_takes_nothing_of_a_limit(start_site: StartSite) -> None:
    client = start_site(RATE_LIMIT="1/h")
    assert client.post("/chat", json={}).status_code == 400
    assert client.post("/chat", json=ORDER).status_code == 200


def test_an_address_in_a_header_is_believed_from_trusted_proxies_alone(start_site: StartSite, settings: Any) -> None:
    client = start_site(RATE_LIMIT="1/h")
    answers = [client.post("/chat", json=ORDER, headers={"X-Forwarded-For": f"10.1.1.{n}"}) for n in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert CallRecord.objects.get().client_ip == "127.0.0.1"


def test_a_burst_does_not_overrun_a_budget_and_what_is_spent_is_what_is_on_record(
    start_site: StartSite, make_key: MakeKey, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=0.3))
    client = start_site()
    # While a call runs, its answer of up to 1,000 tokens of gpt-4o takes a little more than $0.01 of the budget.
    headers = make_key("app", usd_per_day=Decimal("0.035"))
    assert statuses(str(client.base_url), 30, headers) == {200: 3, 429: 27}
    spent = sum(row.cost_usd for row in CallRecord.objects.all())
    assert 0 < spent < Decimal("0.035")
    # The calls were cheap, and the rest of what they had taken in advance is free again.
    assert statuses(str(client.base_url), 30, headers) == {200: 3, 429: 27}
    dear = client.post("/chat", json={**ORDER, "max_tokens": 10_000}, headers=headers)
    assert dear.status_code == 429
    assert "so it never fits" in dear.json()["error"]["message"]
    assert "retry-after" not in dear.headers


def test_a_budget_has_room_for_the_tier_that_a_call_asks_for(start_site: StartSite, make_key: MakeKey) -> None:
    """An answer of up to 1,000 tokens of gpt-4o takes $0.01 of a budget, and $0.017 in the tier `priority`."""
    client = start_site()
    headers = make_key("app", usd_per_day=Decimal("0.015"))
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    dear = client.post("/v1/chat/completions", json={**body, "service_tier": "priority"}, headers=headers)
    assert dear.status_code == 429
    assert client.post("/v1/chat/completions", json=body, headers=headers).status_code == 200


def test_a_budget_that_was_spent_is_spent_after_a_restart(start_site: StartSite, make_key: MakeKey) -> None:
    headers = make_key("app", usd_per_month=Decimal("0.02"))
    # Without a Redis, which would remember: each site has a memory of its own, which is lost when the site ends.
    assert start_site(REDIS_URL="").post("/chat", json=ORDER, headers=headers).status_code == 200
    CallRecord.objects.update(cost_usd=Decimal("0.0195"))
    refused = start_site(REDIS_URL="").post("/chat", json=ORDER, headers=headers)
    assert refused.status_code == 429
    assert "$0.02 a month" in refused.json()["error"]["message"]


def test_a_model_without_a_price_is_not_for_a_key_with_a_budget(start_site: StartSite, make_key: MakeKey) -> None:
    refused = start_site().post(
        "/chat", json={"prompt": "a", "model": "gpt-4o>mine"}, headers=make_key("app", usd_per_day=Decimal(1))
    )
    assert refused.status_code == 403
    assert "the price of 'mine' is not known" in refused.json()["error"]["message"]


@pytest.mark.parametrize("bounds", [{"max_tokens": 10**30}, {"n": 10**30}, {"max_tokens": 10**30, "n": 10**30}])
def test_a_bound_beyond_all_numbers_fits_no_budget_and_is_no_500(
    start_site: StartSite, make_key: MakeKey, bounds: dict[str, int]
) -> None:
    headers = make_key("app", usd_per_day=Decimal(1))
    order = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}], **bounds}
    refused = start_site().post("/v1/chat/completions", json=order, headers=headers)
    assert refused.status_code == 429
    assert "so it never fits" in refused.json()["error"]["message"]


def test_tokens_that_were_not_used_are_free_again(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site()
    headers = make_key("app", tokens_per_minute=1500)
    for _ in range(5):
        assert client.post("/chat", json=ORDER, headers=headers).status_code == 200
    assert client.post("/chat", json={**ORDER, "max_tokens": 1490}, headers=headers).status_code == 429


@pytest.mark.parametrize("model", ["gpt-4o", "sim-503", "sim-cut", "sim-html"])
@pytest.mark.parametrize("door", ["/chat", "/chat/stream"])
def test_a_place_is_free_before_the_answer_ends_however_it_ends(
    start_site: StartSite, make_key: MakeKey, door: str, model: str
) -> None:
    client = start_site(MAX_RETRIES=0)
    headers = make_key("app", max_concurrent=1)
    for _ in range(3):
        assert client.post(door, json={"prompt": "a", "model": model}, headers=headers).status_code != 429


def test_a_caller_that_goes_away_leaves_its_place(
    start_site: StartSite, make_key: MakeKey, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(latency_s=20))
    client = start_site()
    headers = make_key("app", max_concurrent=1)
    for door in ("/chat", "/chat/stream"):
        with pytest.raises(httpx2.ReadTimeout):
            client.post(door, json={"prompt": "a", "model": "slow"}, headers=headers, timeout=0.5)
        eventually(lambda: client.post("/chat", json=ORDER, headers=headers).status_code == 200, 5)


def test_a_stream_keeps_its_place_until_it_ends(
    start_site: StartSite, make_key: MakeKey, simulator: SimulatorThread
) -> None:
    client = start_site()
    headers = make_key("app", max_concurrent=1)
    simulator.script("long", Behaviour(tokens_per_second=20))
    with client.stream("POST", "/chat/stream", json={"prompt": "a", "model": "long"}, headers=headers) as stream:
        events = stream.iter_lines()
        next(events)
        refused = client.post("/chat", json=ORDER, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "1 call at a time" in refused.json()["error"]["message"]
        assert "data: [DONE]" in list(events)
    assert client.post("/chat", json=ORDER, headers=headers).status_code == 200


@pytest.fixture
def workers(tmp_path: Path, simulator: SimulatorThread, redis_server: RedisServer) -> Any:
    site = SiteProcess(tmp_path, upstream=simulator.base_url, REDIS_URL=redis_server.url)
    site.migrate()
    yield site
    site.close()


@pytest.mark.slow
def test_two_workers_let_exactly_the_limit_through(workers: SiteProcess) -> None:
    secret = workers.manage("api_key", "create", "app", "--rate-limit", "10/min").strip()
    workers.start("--workers", "2")
    assert statuses(workers.base_url, 100, {"X-API-Key": secret}) == {200: 10, 429: 90}


@pytest.mark.slow
def test_a_killed_worker_does_not_keep_what_it_held(
    workers: SiteProcess, simulator: SimulatorThread, redis_server: RedisServer
) -> None:
    simulator.script("slow", Behaviour(latency_s=30))
    secret = workers.manage("api_key", "create", "app", "--max-concurrent", "1").strip()
    workers.start()
    headers = {"X-API-Key": secret}
    with redis.Redis.from_url(redis_server.url) as store, ThreadPoolExecutor(1) as elsewhere:
        order = {"prompt": "a", "model": "slow"}
        running = elsewhere.submit(
            httpx2.post, f"{workers.base_url}/chat", json=order, headers=headers, trust_env=False, timeout=20
        )
        eventually(lambda: bool(store.keys("access:*")))
        workers.kill()
        assert isinstance(running.exception(), httpx2.HTTPError)
        lives = [store.pttl(key) for key in store.scan_iter("access:*")]
    assert len(lives) == 2  # the entries and their total, and both of them expire
    assert all(0 < life <= 1000 * meters_module.LEASE_SECONDS for life in lives)


@pytest.mark.slow
def test_redis_away_is_no_500_and_readiness_says_it(workers: SiteProcess, redis_server: RedisServer) -> None:
    secret = workers.manage("api_key", "create", "app", "--rate-limit", "5/min").strip()
    redis_server.kill()
    workers.start()
    assert statuses(workers.base_url, 20, {"X-API-Key": secret}) == {200: 5, 429: 15}
    with loopback_client(base_url=workers.base_url) as client:
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]["redis"]) == (200, "away")
        assert workers.output.read_text().count('"redis_away"') == 1
        redis_server.start()
        time.sleep(limiter_module.AWAY_SECONDS + 0.2)
        assert client.post("/chat", json=ORDER, headers={"X-API-Key": secret}).status_code == 200
        assert client.get("/health/ready").json()["checks"]["redis"] == "ok"
