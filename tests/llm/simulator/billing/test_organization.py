"""The organization's usage and costs, as an administrator reads them: with OpenAI's own client, and by plain HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from llm.simulator import Behaviour, RunningSimulator
from llm.simulator.billing.ledger import DAY_S, MAX_LINES, OTHER, Ledger
from llm.simulator.billing.organization import PROJECT
from llm.simulator.generation.tokens import TokenCounts
from tests.llm.simulator.chat_client import ask
from tests.support.loopback import DIRECT

COSTS = "/v1/organization/costs"
USAGE = "/v1/organization/usage/completions"
ADMIN = {"Authorization": "Bearer sk-admin-0123456789"}
TODAY = int(time.time()) // DAY_S * DAY_S


@pytest.fixture
async def admin(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client for administrators. It refuses an answer that is not what OpenAI promises."""
    async with openai.AsyncOpenAI(
        base_url=simulator.base_url,
        admin_api_key="sk-admin-0123456789",
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(**DIRECT),
        _strict_response_validation=True,
    ) as client:
        yield client


async def usage_of(admin: openai.AsyncOpenAI, model: str) -> Any:
    page = await admin.admin.organization.usage.completions(start_time=TODAY, group_by=["model"])
    return next(result for result in page.data[0].results if result.model == model)


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer sk-any", "Basic sk-admin-0123456789"])
async def test_a_key_that_is_no_administrators_is_refused_and_not_repeated(http: httpx2.AsyncClient, key: str) -> None:
    answer = await http.get(COSTS, params={"start_time": TODAY}, headers={"Authorization": key})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "sk-any" not in answer.text


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, "start_time"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"start_time": "-1"}, "start_time"),
        ({"start_time": 0, "limit": 0}, "limit"),
        ({"start_time": 0, "limit": 181}, "limit"),
        ({"start_time": 0, "bucket_width": "1h"}, "bucket_width"),
        ({"start_time": 0, "group_by": "model"}, "group_by"),
        ({"start_time": 0, "page": "page_1"}, "page"),
        ({"start_time": 0, "page": "next"}, "page"),
    ],
)
async def test_a_wrong_parameter_is_named(http: httpx2.AsyncClient, asked: dict[str, Any], named: str) -> None:
    answer = await http.get(COSTS, params=asked, headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, named)


async def test_only_get_is_allowed(http: httpx2.AsyncClient) -> None:
    answer = await http.post(COSTS, headers=ADMIN)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_openais_client_reads_what_was_answered_under_the_dated_name(
    admin: openai.AsyncOpenAI, http: httpx2.AsyncClient
) -> None:
    counts = [(await ask(http, "gpt-4o")).json()["usage"] for _ in range(3)]
    usage = await usage_of(admin, "gpt-4o-2024-08-06")
    prompt, completion = (sum(each[name] for each in counts) for name in ("prompt_tokens", "completion_tokens"))
    assert (usage.num_model_requests, usage.input_tokens, usage.output_tokens) == (3, prompt, completion)
    costs = await admin.admin.organization.usage.costs(start_time=TODAY, group_by=["line_item"])
    by_item = {result.line_item: result.amount.value for result in costs.data[0].results}
    assert by_item == pytest.approx(
        {
            "gpt-4o-2024-08-06, input": prompt * 2.5 / 1e6,
            "gpt-4o-2024-08-06, output": completion * 10 / 1e6,
        }
    )


async def test_cached_tokens_are_an_item_of_their_own(
    admin: openai.AsyncOpenAI, http: httpx2.AsyncClient, simulator: RunningSimulator
) -> None:
    simulator.state.script("gpt-4o", Behaviour(cached_tokens=1000))
    await ask(http, "gpt-4o")
    costs = await admin.admin.organization.usage.costs(start_time=TODAY, group_by=["line_item"])
    by_item = {result.line_item: result.amount.value for result in costs.data[0].results}
    assert by_item["gpt-4o-2024-08-06, cached input"] == pytest.approx(1000 * 1.25 / 1e6)
    assert "gpt-4o-2024-08-06, input" not in by_item


async def test_days_come_in_pages_and_empty_days_are_among_them(
    admin: openai.AsyncOpenAI, http: httpx2.AsyncClient
) -> None:
    await ask(http, "gpt-4o")
    start, days, page = TODAY - 4 * DAY_S, [], None
    while True:
        more = {} if page is None else {"page": page}
        answer = await admin.admin.organization.usage.costs(start_time=start, limit=2, **more)
        days += [(bucket.start_time, len(bucket.results)) for bucket in answer.data]
        assert answer.has_more == (answer.next_page is not None)
        if (page := answer.next_page) is None:
            break
    assert days == [*((start + day * DAY_S, 0) for day in range(4)), (TODAY, 1)]


async def test_all_belongs_to_one_project(http: httpx2.AsyncClient) -> None:
    await ask(http, "gpt-4o")
    for asked, results in (("proj_other", 0), (PROJECT, 1)):
        parameters = {"start_time": TODAY, "project_ids": asked, "group_by": "project_id"}
        [bucket] = (await http.get(COSTS, params=parameters, headers=ADMIN)).json()["data"]
        assert [result["project_id"] for result in bucket["results"]] == [PROJECT] * results


async def test_the_bill_does_not_believe_what_a_twist_says_of_the_usage(
    admin: openai.AsyncOpenAI, http: httpx2.AsyncClient, simulator: RunningSimulator
) -> None:
    simulator.state.script("gpt-4o", Behaviour(twists=("usage_zeros",)))
    simulator.state.script("gpt-4.1", Behaviour(usage=False))
    assert (await ask(http, "gpt-4o")).json()["usage"]["total_tokens"] == 0
    assert "usage" not in (await ask(http, "gpt-4.1")).json()
    for name in ("gpt-4o-2024-08-06", "gpt-4.1-2025-04-14"):
        usage = await usage_of(admin, name)
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0


async def test_a_failure_costs_nothing_and_a_stream_that_is_cut_what_it_has_sent(
    admin: openai.AsyncOpenAI, http: httpx2.AsyncClient, simulator: RunningSimulator
) -> None:
    simulator.state.script("gpt-4o", Behaviour(end_after=4))
    await ask(http, "gpt-4o", stream=True)
    await ask(http, "sim-500")
    assert (await usage_of(admin, "gpt-4o-2024-08-06")).output_tokens == 4
    page = await admin.admin.organization.usage.completions(start_time=TODAY, group_by=["model"])
    assert [result.model for result in page.data[0].results] == ["gpt-4o-2024-08-06"]


async def test_a_script_can_make_the_bill_wrong(
    admin: openai.AsyncOpenAI, http: httpx2.AsyncClient, simulator: RunningSimulator
) -> None:
    simulator.state.script("gpt-4o", Behaviour(billed_factor=2))
    said = (await ask(http, "gpt-4o")).json()["usage"]
    assert (await usage_of(admin, "gpt-4o-2024-08-06")).output_tokens == 2 * said["completion_tokens"]


def test_a_ledger_has_only_so_many_lines_and_loses_no_tokens() -> None:
    ledger = Ledger()
    for number in range(MAX_LINES + 3):
        ledger.add("completions", f"model-{number}", TokenCounts(prompt=1, cached=0, completion=2, reasoning=0))
    lines = list(ledger.lines(TODAY))
    assert len(lines) == MAX_LINES + 1
    assert next(line.prompt for _, model, line in lines if model == OTHER) == 3
    assert sum(line.completion for _, _, line in lines) == 2 * (MAX_LINES + 3)
