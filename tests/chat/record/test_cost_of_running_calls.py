"""A running call has a guess of its cost in its row, which stays if its process dies, and counts once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from asgiref.sync import async_to_sync

from access.keys.key_lifecycle import create_key
from access.models import ApiKey
from chat.history.spending import spent
from chat.models import CallRecord
from chat.record.open_calls import renew_and_sweep
from llm import ModelPrice
from llm.costs.estimates.experience import USUAL_COMPLETION
from llm.simulator import Behaviour, SimulatorThread
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess

StartSite = Callable[..., httpx2.Client]
PRICES = {"slow": ModelPrice(Decimal(2), Decimal(8))}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def headers(transactional_db: None) -> dict[str, str]:
    """Those of a key with a budget."""
    key = create_key(key=ApiKey(name="app", usd_per_day=Decimal(1), scopes=["chat", "read_all"]))
    return {"Authorization": f"Bearer {key}"}


def ask(client: httpx2.Client, headers: dict[str, str], door: str, **more: str) -> threading.Thread:
    prompt = {"messages": [{"role": "user", "content": "a b c"}]} if door.startswith("/v1") else {"prompt": "a b c"}
    body = {"model": "slow", **prompt, **more}
    asking = threading.Thread(target=client.post, args=(door,), kwargs={"json": body, "headers": headers})
    asking.start()
    return asking


def read_spent() -> Decimal:
    found = async_to_sync(spent)("app", LONG_AGO)
    assert found is not None
    return found


def total_of_stats(client: httpx2.Client, headers: dict[str, str]) -> Decimal:
    return Decimal(str(client.get("/stats", headers=headers).json()["total_cost_usd"]))


def running_row() -> CallRecord:
    give_up = time.monotonic() + 10
    while (row := CallRecord.objects.filter(status="in_progress").first()) is None:
        assert time.monotonic() < give_up, "no row while in progress"
        time.sleep(0.05)
    return row


@pytest.mark.parametrize("door", ["/chat", "/chat/stream"])
def test_the_row_of_a_running_call_has_its_cost_and_counts_once(
    start_site: StartSite, headers: dict[str, str], simulator: SimulatorThread, door: str
) -> None:
    simulator.script("slow", Behaviour(answer="one two three", first_token_s=2.5))
    client = start_site(PRICES=PRICES)
    asking = ask(client, headers, door)
    try:
        row = running_row()
        assert (row.usage_estimated, row.cost_estimated, row.prompt_tokens) == (True, True, 10)
        # A provider works on a whole answer to its end, whatever becomes of us, and stops a stream.
        assert row.completion_tokens == (round(USUAL_COMPLETION) if door == "/chat" else 0)
        assert row.cost_usd == (2 * Decimal(row.prompt_tokens) + 8 * Decimal(row.completion_tokens)) / 10**6 > 0
        assert read_spent() == 0, "what it may cost is reserved, so it must not count a second time"
        assert total_of_stats(client, headers) == row.cost_usd
    finally:
        asking.join()
    ended = CallRecord.objects.get()
    assert (ended.status, ended.usage_estimated, ended.cost_estimated) == ("succeeded", False, False)
    assert ended.cost_usd == total_of_stats(client, headers) == read_spent() != row.cost_usd


def test_a_running_call_is_guessed_at_the_price_of_the_tier_that_it_asks_for(
    start_site: StartSite, headers: dict[str, str], simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(answer="one two three", first_token_s=2.5))
    client = start_site(PRICES=PRICES | {"slow@flex": ModelPrice(Decimal(20), Decimal(80))})
    asking = ask(client, headers, "/v1/chat/completions", service_tier="flex")
    try:
        row = running_row()
        assert row.prompt_tokens is not None and row.completion_tokens is not None
        assert row.cost_usd == (20 * Decimal(row.prompt_tokens) + 80 * Decimal(row.completion_tokens)) / 10**6 > 0
    finally:
        asking.join()


def test_an_interrupted_call_keeps_its_guess_and_its_key_has_spent_it(
    start_site: StartSite, headers: dict[str, str], simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(first_token_s=2.5))
    client = start_site(PRICES=PRICES)
    asking = ask(client, headers, "/chat")
    try:
        row = running_row()
        CallRecord.objects.update(lease_until=LONG_AGO)
        renew_and_sweep([])
        row.refresh_from_db()
        assert (row.status, row.cost_estimated) == ("interrupted", True)
        assert row.cost_usd is not None
        assert read_spent() == row.cost_usd > 0
    finally:
        asking.join()
    assert read_spent() == CallRecord.objects.get().cost_usd


def rows(site: SiteProcess, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(site.environment["DATABASE_URL"].removeprefix("sqlite:///"), timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
def site(tmp_path: Path, simulator: SimulatorThread) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path, upstream=simulator.base_url, PRICES="slow=2/8")
    site.migrate()
    yield site
    site.close()


@pytest.mark.slow
async def test_a_call_whose_process_is_killed_has_its_guess_on_record(
    site: SiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(latency_s=60))
    site.start()
    async with async_loopback_client(base_url=site.base_url) as client:
        call = asyncio.create_task(client.post("/chat", json={"prompt": "a", "model": "slow"}, timeout=60))
        give_up = time.monotonic() + 10
        while not rows(site, "select 1 from chat_callrecord where status = 'in_progress'"):
            assert time.monotonic() < give_up
            await asyncio.sleep(0.1)
        site.kill()
        with pytest.raises(httpx2.HTTPError):
            await call
    site.start()
    give_up = time.monotonic() + 40
    query = "select cost_usd, cost_estimated, usage_estimated from chat_callrecord where status = 'interrupted'"
    while not (found := rows(site, query)):
        assert time.monotonic() < give_up, "the row was never marked as interrupted"
        await asyncio.sleep(0.2)
    [(cost, *marks)] = found
    assert cost == pytest.approx((2 * 8 + 8 * USUAL_COMPLETION) / 10**6)
    assert marks == [1, 1]
