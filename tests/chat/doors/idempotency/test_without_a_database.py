"""Idempotency-Key while the database is away."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.chat.doors.idempotency.asking import DOORS, post, rush, sites
from tests.support.database_servers import PostgresServer
from tests.support.waiting import eventually


@contextmanager
def locked_database() -> Iterator[None]:
    """While this runs, nobody else can write to the database."""
    blocker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=10)
    try:
        blocker.execute("begin immediate")
        yield
    finally:
        blocker.close()


needs_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="it locks SQLite's file")


@pytest.mark.slow
@needs_sqlite
@pytest.mark.parametrize(("path", "body"), [DOORS["chat"], DOORS["v1 chat stream"]])
def test_without_the_database_a_key_is_a_503_and_no_model_is_asked(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    with locked_database():
        response = post(client, path, body)
    assert response.status_code == 503, response.text
    assert response.json()["error"]["code"] == "unavailable"
    assert simulator.requests() == []


@pytest.mark.slow
@needs_sqlite
@pytest.mark.parametrize(("path", "body"), [DOORS["chat"], DOORS["stream"]])
def test_a_database_that_is_lost_while_the_model_answers_costs_the_caller_no_answer(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=0.3))
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, client, path, body)
        eventually(simulator.requests)
        with locked_database():
            response = answer.result()
    assert response.status_code == 200
    if path == "/chat/stream":
        assert response.text.endswith("data: [DONE]\n\n")
    # Otherwise the next test would find this call's row, out of the spool.
    eventually(CallRecord.objects.exists, within=10)


@pytest.mark.slow
async def test_postgresql_that_goes_and_comes_back_makes_503s_and_then_answers(
    tmp_path: Path, simulator: SimulatorThread, postgres: PostgresServer
) -> None:
    (site,) = sites(tmp_path, simulator, 1, DATABASE_URL=postgres.url)
    site.start()
    try:
        assert {answer.status_code for answer in await rush([site.base_url], list("abcdef"))} == {200}
        await asyncio.to_thread(postgres.kill)
        away = await rush([site.base_url], list("ghi"))
        assert {(answer.status_code, answer.json()["error"]["code"]) for answer in away} == {(503, "unavailable")}
        assert len(simulator.requests()) == 6
        await asyncio.to_thread(postgres.start)
        back = await rush([site.base_url], list("abcdefghijkl"))
        assert Counter(answer.status_code for answer in back) == {200: 12}
        assert len(simulator.requests()) == 12
    finally:
        site.close()
