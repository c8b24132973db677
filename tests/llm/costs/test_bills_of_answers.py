"""What real answers come to: tiers, sound, searches, written tokens and stated costs, from the wire to the record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from llm import CHAT_COMPLETIONS, RESPONSES, AttemptRecord, CallOutcome, ModelPrice, Operation, Provider
from llm.json_values import Json
from tests.llm.conftest import KEY, Answer, StartEngine
from tests.support.upstreams.wire_answers import RESPONSE, chat_chunk, chat_whole, streamed, whole
from tests.support.upstreams.wire_replay import Step

Ask = Callable[..., Awaitable[CallOutcome]]
USAGE: Json = {"prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000}


def bytes_of(steps: list[Step]) -> bytes:
    text = "".join(step["send"] for step in steps)
    return text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1).encode("latin-1")


@pytest.fixture
def ask(start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]]) -> Ask:
    async def ask(
        model: str,
        steps: list[Step],
        body: Json | None = None,
        *,
        operation: Operation = CHAT_COMPLETIONS,
        stream: bool = False,
        price_list: str = "openai",
        prices: dict[str, ModelPrice] | None = None,
    ) -> CallOutcome:
        url = await raw_upstream(bytes_of(steps))
        provider = Provider("openai", url, KEY, price_list=price_list)
        asker = await start_engine(providers={"openai": provider}, prices=prices or {})
        asked: Json = {"input": "Hello"} if operation is RESPONSES else {}
        return await asker.ask(model, {**asked, **(body or {})}, operation=operation, stream=stream)

    return ask


def only_attempt(outcome: CallOutcome) -> AttemptRecord:
    [attempt] = outcome.attempts
    return attempt


def chat(model: str, usage: Json, *, stream: bool, **fields: Any) -> list[Step]:
    """An answer of OpenAI, whole or streamed. `fields` stand in the answer, or in each chunk."""
    if not stream:
        return whole({**chat_whole({"content": "Hi"}), "model": model, "usage": usage, **fields})
    head: Json = {"model": model, **fields}
    chunks = [{**chat_chunk({"content": "Hi"}), **head}, {**chat_chunk({}, "stop"), **head}]
    return streamed(*chunks, {**chat_chunk({}), **head, "choices": [], "usage": usage})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "served", "usd"),
    [
        ("flex", "flex", "0.005625"),
        ("priority", "priority", "0.0225"),
        ("fast", "priority", "0.0225"),
        ("priority", "default", "0.01125"),  # OpenAI had no room, and bills what it served
        ("auto", "flex", "0.005625"),
        ("flex", None, "0.01125"),  # whoever tells no tier has none
    ],
)
async def test_the_tier_that_was_served_is_billed_and_not_the_one_that_was_asked(
    ask: Ask, asked: str, served: str | None, usd: str, stream: bool
) -> None:
    answer = chat("gpt-5-2025-08-07", USAGE, stream=stream, service_tier=served)
    outcome = await ask("gpt-5", answer, {"service_tier": asked}, stream=stream)
    attempt = only_attempt(outcome)
    assert (outcome.cost_usd, outcome.cost_incomplete) == (Decimal(usd), False)
    assert (attempt.service_tier, attempt.answered_model, attempt.cost_stated) == (served or "", "", False)
    assert outcome.service_tier == (served or "")


async def test_a_tier_without_a_price_makes_the_cost_of_the_call_incomplete(ask: Ask) -> None:
    outcome = await ask("gpt-4", chat("gpt-4-0613", USAGE, stream=False, service_tier="priority"))
    assert (outcome.cost_usd, outcome.cost_incomplete) == (Decimal("0.09"), True)


async def test_of_a_stream_that_broke_before_it_told_its_tier_the_one_that_was_asked_is_the_guess(ask: Ask) -> None:
    standard, flex = [
        only_attempt(await ask("gpt-5", streamed(chat_chunk({"content": "Hi"}), done=False), body, stream=True))
        for body in ({}, {"service_tier": "flex"})
    ]
    # What gpt-5 has thought is guessed by the time that it took, so the two are not worked out from the same tokens.
    for attempt, factor in ((standard, 1), (flex, Decimal("0.5"))):
        assert attempt.usage is not None and attempt.usage.estimated
        prompt, completion = attempt.usage.prompt_tokens, attempt.usage.completion_tokens
        usd = (prompt * Decimal("1.25") + completion * 10) * factor / 1_000_000
        assert attempt.cost_usd == usd > 0
    assert (standard.service_tier, flex.service_tier) == ("", "flex")


@pytest.mark.parametrize("stream", [False, True])
async def test_sound_has_its_own_price(ask: Ask, stream: bool) -> None:
    usage = {
        **USAGE,
        "prompt_tokens_details": {"audio_tokens": 600, "cached_tokens": 0, "text_tokens": 400, "image_tokens": 0},
        "completion_tokens_details": {"audio_tokens": 800, "reasoning_tokens": 0, "text_tokens": 200},
    }
    outcome = await ask("gpt-audio", chat("gpt-audio-2025-08-28", usage, stream=stream), stream=stream)
    assert outcome.usage is not None
    assert (outcome.usage.audio_prompt_tokens, outcome.usage.audio_completion_tokens) == (600, 800)
    # 400 * 2.50 + 600 * 32 + 200 * 10 + 800 * 64
    assert (outcome.cost_usd, outcome.cost_incomplete) == (Decimal("0.0734"), False)


async def test_tokens_that_were_written_to_the_cache_have_their_own_price(ask: Ask) -> None:
    """As OpenAI has counted them since gpt-5.6."""
    details = {"cached_tokens": 200, "cache_write_tokens": 700}
    usage = {"input_tokens": 1_000, "input_tokens_details": details, "output_tokens": 100, "total_tokens": 1_100}
    answer = whole({**RESPONSE, "model": "gpt-5.6-sol", "usage": usage, "service_tier": "default"})
    outcome = await ask("gpt-5.6-sol", answer, operation=RESPONSES)
    assert outcome.usage is not None and outcome.usage.cache_write_tokens == 700
    # 100 * 4 + 200 * 0.40 + 700 * 5 + 100 * 20
    assert outcome.cost_usd == Decimal("0.00598")


def search(status: str = "completed", action: Json | None = None) -> Json:
    found = {"id": "ws_1", "type": "web_search_call", "status": status}
    return found if action is None else {**found, "action": action}


SEARCH: Json = {"type": "search", "query": "weather"}
FILES: Json = {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["a", "b"], "results": None}
TOKENS = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}


def response(*items: Json, **fields: Any) -> Json:
    return {
        **RESPONSE,
        "model": "gpt-4.1-2025-04-14",
        "output": [*items, *RESPONSE["output"]],
        "usage": TOKENS,
        **fields,
    }


def as_events(answer: Json) -> list[Step]:
    """The events of a stream, in which each item stands before the end too."""
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    items = [
        {"type": "response.output_item.done", "output_index": number, "item": item}
        for number, item in enumerate(answer["output"])
    ]
    ends = [{"type": "response.completed", "response": answer}]
    return streamed({"type": "response.created", "response": begun}, *items, *ends, done=False)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("items", "searches", "usd"),
    [
        ([search(action=SEARCH), search(action=SEARCH), FILES], (2, 1), "0.0253"),
        ([search()], (1, 0), "0.0128"),  # as it was before there were other actions
        ([search("failed", SEARCH), search("in_progress", SEARCH)], (0, 0), "0.0028"),
        ([search(action={"type": "open_page"}), search(action={"type": "find_in_page"})], (0, 0), "0.0028"),
    ],
)
async def test_searches_that_were_made_are_paid_for(
    ask: Ask, items: list[Json], searches: tuple[int, int], usd: str, stream: bool
) -> None:
    answer = response(*items)
    steps = as_events(answer) if stream else whole(answer)
    outcome = await ask("gpt-4.1", steps, operation=RESPONSES, stream=stream)
    assert outcome.usage is not None
    assert (outcome.usage.web_searches, outcome.usage.file_searches) == searches
    assert (outcome.cost_usd, outcome.cost_incomplete) == (Decimal(usd), False)


async def test_searches_of_a_stream_that_broke_are_paid_for(ask: Ask) -> None:
    steps = as_events(response(search(action=SEARCH)))
    outcome = await ask("gpt-4.1", [*steps[:3], steps[-1]], operation=RESPONSES, stream=True)
    assert outcome.usage is not None
    assert (outcome.usage.web_searches, outcome.usage.estimated) == (1, True)
    assert outcome.cost_usd is not None and outcome.cost_usd > Decimal("0.01")


@pytest.mark.parametrize(
    ("items", "tools"),
    [
        ([{"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "container_id": "cntr_1"}], []),
        ([search(action=SEARCH)], [{"type": "web_search_preview"}]),
        ([search(action=SEARCH)], [{"type": "web_search_preview_2025_03_11"}]),
    ],
)
async def test_a_tool_whose_cost_is_not_known_makes_the_cost_incomplete(
    ask: Ask, items: list[Json], tools: list[Json]
) -> None:
    outcome = await ask("gpt-4.1", whole(response(*items, tools=tools)), operation=RESPONSES)
    assert outcome.cost_incomplete
    assert outcome.cost_usd is not None and outcome.cost_usd > 0


@pytest.mark.parametrize(
    ("model", "incomplete"), [("gpt-4.1-mini", True), ("gpt-4o-mini", True), ("gpt-4.1", False), ("gpt-5-mini", False)]
)
async def test_a_search_of_a_model_that_pays_for_a_fixed_block_costs_at_least_its_fee(
    ask: Ask, model: str, incomplete: bool
) -> None:
    answer = whole(response(search(action=SEARCH), tools=[{"type": "web_search"}], model=model))
    assert (await ask(model, answer, operation=RESPONSES)).cost_incomplete is incomplete


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_always_searches_is_billed_for_a_search(ask: Ask, stream: bool) -> None:
    answer = chat("gpt-4o-search-preview-2025-03-11", USAGE, stream=stream)
    outcome = await ask("gpt-4o-search-preview", answer, {"web_search_options": {}}, stream=stream)
    assert outcome.usage is not None and outcome.usage.web_searches == 1
    assert outcome.cost_usd == Decimal("0.0375")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_model_that_a_router_chose_is_on_record_and_its_price_counts(ask: Ask, stream: bool) -> None:
    outcome = await ask(
        "openai/openrouter/auto", chat("openai/gpt-4o", USAGE, stream=stream), stream=stream, price_list="openrouter"
    )
    assert only_attempt(outcome).answered_model == "openai/gpt-4o"
    assert outcome.cost_usd == Decimal("0.0125")


async def test_a_deployment_has_the_price_of_the_model_behind_it(ask: Ask) -> None:
    outcome = await ask("my-deployment", chat("gpt-4o-2024-08-06", USAGE, stream=False), price_list="azure")
    assert only_attempt(outcome).answered_model == "gpt-4o-2024-08-06"
    assert outcome.cost_usd == Decimal("0.0125")


BYOK = {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0360795}}
WITH_FEE = {"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}
NOT_BYOK = {"cost": 0.95, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.95}}
PERPLEXITY = {"cost": {"input_tokens_cost": 0.001, "output_tokens_cost": 0.002, "total_cost": 0.009}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stated", "usd"),
    [
        pytest.param({"cost": 0.00123, "cost_details": {"upstream_inference_cost": None}}, "0.00123", id="OpenRouter"),
        pytest.param(BYOK, "0.0360795", id="OpenRouter, with a key of one's own"),
        pytest.param(WITH_FEE, "0.021", id="OpenRouter, with a key of one's own and a fee"),
        pytest.param(NOT_BYOK, "0.95", id="OpenRouter, which repeats its cost"),
        pytest.param({"cost_in_usd_ticks": 37_756_000}, "0.0037756", id="xAI"),
        pytest.param({"estimated_cost": 1.56e-05}, "0.0000156", id="DeepInfra"),
        pytest.param(PERPLEXITY, "0.009", id="Perplexity"),
        pytest.param({"cost": "0.5"}, "0.5", id="as a text"),
    ],
)
async def test_a_stated_cost_counts_before_any_price(ask: Ask, stated: Json, usd: str, stream: bool) -> None:
    outcome = await ask("gpt-4o", chat("gpt-4o", {**USAGE, **stated}, stream=stream), stream=stream)
    attempt = only_attempt(outcome)
    assert (attempt.cost_usd, attempt.cost_stated, attempt.cost_incomplete) == (Decimal(usd), True, False)
    assert outcome.cost_usd == Decimal(usd)


@pytest.mark.parametrize(
    "stated",
    [
        {"cost": 0},
        {"cost": 0, "is_byok": True},
        {"cost": -1},
        {"cost": "much"},
        {"cost": True},
        {"cost": 10**12},
        {"cost": None, "estimated_cost": "NaN"},
        {"cost_in_usd_ticks": 0},
    ],
)
async def test_a_stated_cost_that_can_not_be_right_leaves_the_price(ask: Ask, stated: Json) -> None:
    outcome = await ask("gpt-4o", chat("gpt-4o", {**USAGE, **stated}, stream=False))
    attempt = only_attempt(outcome)
    assert (attempt.cost_usd, attempt.cost_stated) == (Decimal("0.0125"), False)


async def test_a_header_may_state_the_cost(ask: Ask) -> None:
    payload = {**chat_whole({"content": "Hi"}), "model": "my-alias", "usage": USAGE}
    for header, expected in (("0.0042", Decimal("0.0042")), ("0.0", None), ("None", None)):
        outcome = await ask("my-alias", whole(payload, 200, f"x-litellm-response-cost: {header}"))
        assert (outcome.cost_usd, only_attempt(outcome).cost_stated) == (expected, expected is not None)


async def test_a_stated_cost_of_an_estimated_usage_is_no_estimate(ask: Ask) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0.5}
    outcome = await ask("gpt-4o", chat("gpt-4o", usage, stream=False))
    assert outcome.usage is not None and outcome.usage.estimated
    assert (outcome.cost_usd, outcome.cost_estimated) == (Decimal("0.5"), False)


async def test_anthropic_states_its_tier_and_its_written_tokens_in_its_own_words(ask: Ask) -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_input_tokens": 400,
        "cache_creation_input_tokens": 500,
        "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200},
        "service_tier": "batch",
    }
    outcome = await ask("claude-opus-4-8", chat("claude-opus-4-8", usage, stream=False), price_list="anthropic")
    assert only_attempt(outcome).service_tier == "batch"
    # Half of 100 * 5 + 400 * 0.50 + 300 * 6.25 + 200 * 10 + 10 * 25
    assert outcome.cost_usd == Decimal("0.0024125")


async def test_what_has_no_price_at_all_has_no_cost_and_is_incomplete(ask: Ask) -> None:
    outcome = await ask("nobody-knows", chat("nobody-knows", USAGE, stream=False))
    assert (outcome.cost_usd, outcome.cost_incomplete) == (None, True)
