"""Whole answers that nobody waits for any more, as callers, the history and the upstream see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm import ModelPrice
from llm.simulator import Behaviour, SimulatorThread
from tests.access.conftest import make_key  # noqa: F401 - a fixture
from tests.chat.doors.disconnects.callers import caller, go, nothing_open
from tests.support.waiting import eventually

StartSite = Callable[..., httpx2.Client]

PRICES = {"slow": ModelPrice(Decimal(2), Decimal(8))}
SECONDS = 0.8
ANSWER = "Better late than never."

# A chat completion of each kind of door, to the model `slow`.
MESSAGES = {"messages": [{"role": "user", "content": "Hello"}]}
DOORS = {
    "/chat": {"prompt": "Hello", "model": "slow"},
    "/v1/chat/completions": {**MESSAGES, "model": "slow"},
    "/v1/completions": {"prompt": "Hello", "model": "slow"},
    "/v1/responses": {"input": "Hello", "model": "slow"},
    "/v1/embeddings": {"input": "Hello", "model": "slow"},
}
every_door = pytest.mark.parametrize("path", DOORS)
KEY = {"Idempotency-Key": "key-1"}


@pytest.fixture(autouse=True)
def slow(simulator: SimulatorThread) -> None:
    simulator.script("slow", Behaviour(answer=ANSWER, latency_s=SECONDS))


def post(client: httpx2.Client, path: str, headers: dict[str, str], **fields: Any) -> httpx2.Response:
    return client.post(path, json={**DOORS[path], **fields}, headers=headers)


def leave(client: httpx2.Client, simulator: SimulatorThread, path: str, headers: dict[str, str], **fields: Any) -> None:
    """Send a request, and go away when the upstream has got it."""
    asked = len(simulator.requests())
    with pytest.raises(httpx2.ReadTimeout):
        timeout = httpx2.Timeout(5, read=0.25)
        client.post(path, json={**DOORS[path], **fields}, headers=headers, timeout=timeout)
    assert len(simulator.requests()) == asked + 1


def read_on(client: httpx2.Client) -> int:
    count: int = client.get("/health/ready").json()["checks"]["read_on_answers"]
    return count


def ended_row() -> CallRecord:
    row: CallRecord = eventually(CallRecord.objects.exclude(status="in_progress").first)
    return row


def amended_row() -> CallRecord:
    row: CallRecord = eventually(CallRecord.objects.filter(status__in=["cancelled", "failed"], lease_until=None).first)
    return row


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


# The row


@every_door
def test_the_row_of_a_caller_who_left_is_there_at_once_and_has_the_true_cost_in_the_end(
    start_site: StartSite, simulator: SimulatorThread, path: str
) -> None:
    client = start_site(PRICES=PRICES)
    leave(client, simulator, path, {})
    with within(SECONDS / 2):
        row = ended_row()
    assert (row.status, row.http_status, row.usage_estimated) == ("cancelled", 499, True)
    assert row.attempts.get().read_on
    assert row.lease_until is not None
    assert read_on(client) == 1
    nothing_open(client)
    amended = amended_row()
    assert amended.id == row.id
    assert (amended.status, amended.http_status, amended.usage_estimated) == ("cancelled", 499, False)
    assert (amended.error_code, amended.latency_ms) == ("", row.latency_ms)
    attempt = amended.attempts.get()
    assert (attempt.status, attempt.read_on, attempt.usage_estimated) == ("cancelled", True, False)
    assert attempt.cost_usd == amended.cost_usd
    assert amended.cost_usd is not None and amended.cost_usd > 0
    if path != "/v1/embeddings":
        assert (amended.body.content, amended.model_used, amended.finish_reason) == (
            ANSWER,
            "slow",
            "stop",
        )
        assert (amended.completion_tokens or 0) > 0
    assert [seen["ended"] for seen in simulator.requests()] == ["complete"]
    assert read_on(client) == 0
    assert CallRecord.objects.count() == 1


def test_a_timeout_is_a_504_at_once_and_its_row_has_the_true_cost_in_the_end(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(PRICES=PRICES)
    with within(SECONDS / 2):
        answer = post(client, "/chat", {}, timeout=0.2)
    assert answer.status_code == 504
    request_id = answer.json()["error"]["request_id"]
    detail = client.get(f"/calls/{request_id}").json()
    assert (detail["status"], detail["attempts"][0]["read_on"], detail["usage_estimated"]) == ("failed", True, True)
    amended_row()
    detail = client.get(f"/calls/{request_id}").json()
    assert (detail["status"], detail["error_code"], detail["http_status"]) == ("failed", "upstream_timeout", 504)
    assert (detail["usage_estimated"], detail["content"]) == (False, ANSWER)
    [attempt] = detail["attempts"]
    assert (attempt["status"], attempt["error_code"], attempt["read_on"]) == ("failed", "upstream_timeout", True)
    assert attempt["cost_usd"] == detail["cost_usd"] > 0


def test_without_a_price_it_is_cut_at_once(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site()
    with caller(client, "/chat", model="slow") as connection:
        eventually(simulator.requests)
        went_at = go(connection, "close")
    [seen] = eventually(lambda: [seen for seen in simulator.requests() if seen["ended"] == "disconnected"])
    assert seen["started_at"] + seen["disconnected_after_ms"] / 1000 - went_at < 0.1
    row = ended_row()
    assert (row.lease_until, row.usage_estimated, row.attempts.get().read_on) == (None, True, False)
    assert read_on(client) == 0


def test_a_call_that_was_announced_has_one_row_and_one_attempt_in_the_end(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(answer=ANSWER, latency_s=3.0))
    client = start_site(PRICES=PRICES)
    assert post(client, "/chat", {}, timeout=2.0).status_code == 504
    row = amended_row()
    assert (row.attempts.count(), row.usage_estimated, CallRecord.objects.count()) == (1, False, 1)


def test_two_callers_who_chose_one_request_id_and_left_have_a_row_each(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(PRICES=PRICES)
    for _ in range(2):
        leave(client, simulator, "/chat", {"X-Request-ID": "mine-0123456789"})
    eventually(lambda: CallRecord.objects.filter(lease_until=None, usage_estimated=False).count() == 2)
    assert CallRecord.objects.filter(request_id__startswith="mine").count() == 2
    assert [row.attempts.count() for row in CallRecord.objects.all()] == [1, 1]


# Idempotency keys


@every_door
def test_a_caller_who_left_and_comes_back_with_its_key_gets_the_answer_that_was_paid_for(
    start_site: StartSite, simulator: SimulatorThread, path: str
) -> None:
    client = start_site(PRICES=PRICES)
    leave(client, simulator, path, KEY)
    ended_row()
    early = post(client, path, KEY)
    assert (early.status_code, early.headers["retry-after"]) == (409, "1")
    amended_row()
    answer = post(client, path, KEY)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    if path != "/v1/embeddings":
        assert ANSWER in answer.text
    assert len(simulator.requests()) == 1, "it was asked, and billed, twice"
    assert CallRecord.objects.count() == 1


def test_the_answer_that_comes_late_is_what_the_caller_would_have_got(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(PRICES=PRICES)
    assert post(client, "/chat", KEY, timeout=0.2).status_code == 504
    row = amended_row()
    answer = post(client, "/chat", KEY, timeout=0.2).json()
    assert answer["request_id"] == row.request_id
    assert (answer["content"], answer["finish_reason"], answer["model_used"]) == (ANSWER, "stop", "slow")
    assert answer["usage"]["estimated"] is False
    assert Decimal(str(answer["cost_usd"])) == row.cost_usd
    assert [attempt["error_code"] for attempt in answer["attempts"]] == ["upstream_timeout"]


def test_a_reading_on_that_comes_to_nothing_leaves_the_key_free(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(status=500, latency_s=SECONDS, times=1), Behaviour(answer=ANSWER))
    client = start_site(PRICES=PRICES)
    assert post(client, "/chat", KEY, timeout=0.2).status_code == 504
    row = amended_row()
    assert (row.cost_usd, row.prompt_tokens) == (0, None)
    again = post(client, "/chat", KEY, timeout=0.2)
    assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)


def test_without_a_price_a_caller_who_left_leaves_the_key_free(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site()
    leave(client, simulator, "/chat", KEY)
    ended_row()
    again = post(client, "/chat", KEY)
    assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)
    assert len(simulator.requests()) == 2


def test_a_late_answer_may_be_given_again_from_the_cache(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(PRICES=PRICES)
    leave(client, simulator, "/chat", {}, cache_ttl=60)
    amended_row()
    eventually(lambda: read_on(client) == 0)
    answer = post(client, "/chat", {}, cache_ttl=60)
    assert (answer.json()["content"], answer.json()["cost_usd"]) == (ANSWER, 0)
    assert len(simulator.requests()) == 1


# Limits


def test_a_call_that_is_read_on_takes_no_place_and_its_budget_is_settled_for_its_true_cost(
    start_site: StartSite,
    simulator: SimulatorThread,
    make_key: Callable[..., dict[str, str]],  # noqa: F811
) -> None:
    client = start_site(PRICES=PRICES)
    # A call is taken to need 1,000 tokens of an answer, which are $0.008. There is room for two, but not for three.
    headers = make_key("app", usd_per_day=Decimal("0.02"), max_concurrent=1)
    leave(client, simulator, "/chat", headers)
    ended_row()
    leave(client, simulator, "/chat", headers)
    eventually(lambda: CallRecord.objects.filter(status="cancelled").count() == 2)
    assert read_on(client) == 2
    refused = post(client, "/chat", headers)
    assert refused.status_code == 429
    assert "$" in refused.json()["error"]["message"]
    eventually(lambda: read_on(client) == 0)
    eventually(lambda: CallRecord.objects.filter(lease_until=None).count() == 2)
    assert post(client, "/chat", headers).status_code == 200


# What is counted


def metric(client: httpx2.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name) and 'model="slow"' in line)


def test_what_is_read_on_is_counted_once_and_exactly(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(PRICES=PRICES, DEFAULT_MODEL="slow")
    before = {name: metric(client, name) for name in ("llm_cost_usd_total", "llm_attempts_total", "llm_calls_total")}
    assert post(client, "/chat", {}, timeout=0.2).status_code == 504
    assert metric(client, "llm_cost_usd_total") == before["llm_cost_usd_total"]
    row = amended_row()
    eventually(lambda: metric(client, "llm_cost_usd_total") > before["llm_cost_usd_total"])
    assert metric(client, "llm_cost_usd_total") - before["llm_cost_usd_total"] == pytest.approx(
        float(row.cost_usd or 0)
    )
    assert metric(client, "llm_attempts_total") - before["llm_attempts_total"] == 1
    assert metric(client, "llm_calls_total") - before["llm_calls_total"] == 1


# Fetched as streams


@pytest.mark.parametrize("path", [path for path in DOORS if path != "/v1/embeddings"])
def test_what_is_fetched_as_a_stream_is_the_whole_answer_and_is_cut_at_once(
    start_site: StartSite, simulator: SimulatorThread, path: str
) -> None:
    client = start_site(PRICES=PRICES, FETCH_AS_STREAMS=frozenset({"openai"}))
    answer = post(client, path, {})
    assert answer.status_code == 200
    assert ANSWER in answer.text
    assert simulator.requests()[0]["stream"] is True
    leave(client, simulator, path, {})
    eventually(lambda: [seen["ended"] for seen in simulator.requests()] == ["complete", "disconnected"])
    eventually(lambda: CallRecord.objects.filter(status="cancelled", lease_until=None).exists())
    assert not CallRecord.objects.get(status="cancelled").attempts.get().read_on
