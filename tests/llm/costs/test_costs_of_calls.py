"""What a call costs: by the provider's count, by an estimate that is marked as one, or nothing. Never a silent zero."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from llm import CHAT_COMPLETIONS, AttemptStatus, CallStatus, ModelPrice, Usage
from llm.costs.estimates.experience import USUAL_COMPLETION, USUAL_SPEED
from llm.costs.tokens import count_tokens
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import HELLO, Answer, Asker, StartEngine

PRICES = {name: ModelPrice(Decimal(2), Decimal(8), Decimal("0.5")) for name in ("m", "a", "b", "ok")}
USUAL = round(USUAL_COMPLETION)
PROMPT = CHAT_COMPLETIONS.prompt_tokens(HELLO)


@pytest.fixture
async def asker(start_engine: StartEngine) -> Asker:
    return await start_engine(prices=PRICES, stream_idle_timeout=0.2, first_token_timeout=0.3)


def estimate(completion_tokens: int) -> Usage:
    return Usage(PROMPT, completion_tokens, estimated=True)


def price(usage: Usage | None) -> Decimal:
    assert usage is not None
    return (2 * Decimal(usage.prompt_tokens) + 8 * Decimal(usage.completion_tokens)) / 1_000_000


@pytest.mark.parametrize(("route", "stream"), [("m", False), ("m", True), ("m|m", False)])
async def test_a_call_costs_what_the_provider_counted(
    simulator: SimulatorThread, asker: Asker, route: str, stream: bool
) -> None:
    simulator.script("m", Behaviour(answer="one two", cached_tokens=1_000, reasoning_tokens=50))
    outcome = await asker.ask(route, stream=stream)
    winner = next(attempt for attempt in outcome.attempts if attempt.status is AttemptStatus.SUCCEEDED)
    assert outcome.usage == winner.usage == Usage(1_000, 52, 1_000, 50)
    assert winner.cost_usd == (Decimal("0.5") * 1_000 + 8 * 52) / 1_000_000
    if route == "m":
        assert outcome.cost_usd == winner.cost_usd


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_whose_provider_counts_nothing_is_estimated(
    simulator: SimulatorThread, asker: Asker, stream: bool
) -> None:
    simulator.script("m", Behaviour(answer="one two three", usage=False))
    outcome = await asker.ask("m", stream=stream)
    assert outcome.usage == estimate(count_tokens("one two three"))
    assert outcome.cost_usd == price(outcome.usage)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_price_makes_the_cost_of_the_call_unknown(asker: Asker, stream: bool) -> None:
    outcome = await asker.ask("nobody-knows", stream=stream)
    assert outcome.usage is not None
    assert outcome.cost_usd is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["sim-400", "sim-401", "sim-404", "sim-429", "sim-500", "sim-context", "sim-quota"])
async def test_a_refused_attempt_costs_nothing(asker: Asker, model: str, stream: bool) -> None:
    outcome = await asker.ask(model, stream=stream)
    assert [(attempt.usage, attempt.cost_usd) for attempt in outcome.attempts] == [(None, None)]
    assert (outcome.usage, outcome.cost_usd) == (None, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_attempt_that_reached_nobody_costs_nothing(
    start_engine: StartEngine, refusing_upstream: str, stream: bool
) -> None:
    outcome = await (await start_engine(refusing_upstream, prices=PRICES)).ask("m", stream=stream)
    assert outcome.attempts[0].usage is None
    assert outcome.cost_usd == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_attempt_that_found_no_connection_in_time_costs_nothing(
    start_engine: StartEngine, full_upstream: str, stream: bool
) -> None:
    asker = await start_engine(full_upstream, prices=PRICES, connect_timeout=0.2)
    outcome = await asker.ask("m", stream=stream)
    assert outcome.attempts[0].usage is None


@pytest.mark.parametrize("clock", ["deadline", "attempt", "cancelled"])
async def test_an_attempt_that_ends_while_it_connects_costs_nothing(
    start_engine: StartEngine, full_upstream: str, clock: str
) -> None:
    asker = await start_engine(full_upstream, prices=PRICES, attempt_timeout=0.2 if clock == "attempt" else None)
    call = asker.start("m", timeout=0.2 if clock == "deadline" else None)
    await asyncio.sleep(0.1)
    if clock == "cancelled":
        call.cancel()
    outcome = await call.settled()
    assert outcome.attempts[0].usage is None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_loser_costs_its_prompt_and_what_it_had_said_and_is_marked_as_an_estimate(
    simulator: SimulatorThread, asker: Asker, stream: bool
) -> None:
    """As a stream it would win with its first token; a racer of a whole answer has said something when it loses."""
    simulator.script("a", Behaviour(latency_s=9) if stream else Behaviour(answer="one two three four", stall_after=2))
    simulator.script("b", Behaviour(latency_s=0.1))
    outcome = await asker.ask("a|b", stream=stream)
    loser, winner = outcome.attempts
    assert loser.status is AttemptStatus.CANCELLED
    assert loser.usage == estimate(0 if stream else count_tokens("one two"))
    assert loser.cost_usd == price(loser.usage)
    assert winner.usage is not None and not winner.usage.estimated
    assert outcome.usage == winner.usage
    assert winner.cost_usd is not None
    assert outcome.cost_usd == loser.cost_usd + winner.cost_usd


@pytest.mark.parametrize(
    "broken", [Behaviour(cut_after=2), Behaviour(stall_after=2), Behaviour(end_after=2), Behaviour(error_after=2)]
)
@pytest.mark.parametrize("route", ["m", "m|m"])
async def test_a_broken_stream_costs_its_prompt_and_what_it_had_said(
    simulator: SimulatorThread, asker: Asker, broken: Behaviour, route: str
) -> None:
    simulator.script("m", broken)
    outcome = await asker.ask(route, stream=route == "m")
    assert [attempt.usage for attempt in outcome.attempts] == [estimate(count_tokens("This is"))] * len(
        outcome.attempts
    )
    assert outcome.cost_usd == sum((price(attempt.usage) for attempt in outcome.attempts), Decimal(0))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_attempt_that_the_upstream_worked_on_in_vain_costs_its_prompt(asker: Asker, stream: bool) -> None:
    outcome = await asker.ask("sim-timeout>ok", stream=stream, timeout=0.3)
    assert outcome.attempts[0].usage == estimate(0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_call_costs_what_had_been_produced(
    simulator: SimulatorThread, asker: Asker, stream: bool
) -> None:
    simulator.script("m", Behaviour(answer="one two three four", stall_after=2))
    call = asker.start("m", stream=stream)
    await asyncio.sleep(0.15)
    call.cancel()
    outcome = await call.settled()
    assert outcome.status is CallStatus.CANCELLED
    # The provider works on a whole answer to its end, and bills all of it.
    assert outcome.usage == estimate(count_tokens("one two") if stream else USUAL)
    assert outcome.cost_usd == price(outcome.usage)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_empty_answer_costs_what_the_provider_counted(
    simulator: SimulatorThread, asker: Asker, stream: bool
) -> None:
    """A model that only thought."""
    simulator.script("m", Behaviour(empty=True, reasoning_tokens=500))
    outcome = await asker.ask("m>ok", stream=stream)
    empty = outcome.attempts[0]
    assert empty.status is AttemptStatus.FAILED
    assert empty.usage is not None and empty.usage.completion_tokens == 500


async def test_usage_is_always_asked_of_a_stream(simulator: SimulatorThread, asker: Asker) -> None:
    await asker.ask("m", {"stream_options": {"include_usage": False, "include_obfuscation": False}}, stream=True)
    [seen] = simulator.requests()
    assert seen["body"]["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_the_last_usage_of_a_stream_counts(
    start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]]
) -> None:
    """Some providers send what they have counted so far with every chunk."""
    chunks = "".join(
        f'data: {{"choices":[{{"index":0,"delta":{{"content":"x"}},"finish_reason":{finish}}}],'
        f'"usage":{{"prompt_tokens":9,"completion_tokens":{count}}}}}\n\n'
        for count, finish in ((1, "null"), (2, "null"), (3, '"stop"'))
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    url = await raw_upstream(head + chunks.encode())
    outcome = await (await start_engine(url)).ask("m", stream=True)
    assert outcome.usage == Usage(9, 3)


async def test_the_cost_of_a_call_is_the_sum_over_its_attempts(simulator: SimulatorThread, asker: Asker) -> None:
    simulator.script("a", Behaviour(stall_after=3))
    outcome = await asker.ask("a|a>sim-500>b")
    costs = [attempt.cost_usd for attempt in outcome.attempts]
    assert len(costs) == 4
    assert outcome.cost_usd == sum((cost for cost in costs if cost is not None), Decimal(0)) > 0


async def test_a_default_message_costs_what_was_spent_before_it(simulator: SimulatorThread, asker: Asker) -> None:
    simulator.script("m", Behaviour(latency_s=9))
    outcome = await asker.ask("m", timeout=0.2, default_message="Sorry.")
    assert outcome.status is CallStatus.DEFAULTED
    assert outcome.cost_usd == price(estimate(USUAL))


def raw(status: str, body: bytes, *, length: int | None = None, kind: str = "application/json") -> bytes:
    """An HTTP answer. With a `length` that is more than the body has, it is broken in transit."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n\r\n".encode() + body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("answer", "completion_tokens"),
    [
        (raw("200 OK", b'{"choices": [{"message": {"content": "Hel', length=500), USUAL),
        (raw("200 OK", b"", length=500), USUAL),
        (raw("200 OK", b'{"error": {"message": "The engine is overloaded.", "type": "server_error"}}'), 0),
        (raw("200 OK", b"It works, and this is no JSON."), 0),
        (raw("200 OK", b'"text"'), 0),
        (raw("200 OK", b'{"choices": []}'), 0),
    ],
    ids=["cut", "cut before the body", "error", "no JSON", "no object", "no choices"],
)
async def test_what_broke_after_a_200_may_have_cost_its_prompt(
    start_engine: StartEngine,
    raw_upstream: Callable[[Answer], Awaitable[str]],
    answer: bytes,
    completion_tokens: int,
    stream: bool,
) -> None:
    asker = await start_engine(await raw_upstream(answer), prices=PRICES)
    outcome = await asker.ask("m", stream=stream)
    assert outcome.status is CallStatus.FAILED
    assert outcome.usage == estimate(0 if stream else completion_tokens)
    assert outcome.cost_usd == price(outcome.usage) > 0
    assert outcome.cost_estimated


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_inside_a_200_costs_nothing(
    start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]], stream: bool
) -> None:
    refusal = b'{"error": {"message": "Rate limit reached.", "code": 429, "type": "rate_limit_exceeded"}}'
    asker = await start_engine(await raw_upstream(raw("200 OK", refusal)), prices=PRICES)
    outcome = await asker.ask("m", stream=stream)
    assert (outcome.usage, outcome.cost_usd) == (None, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_usage_beside_an_error_is_what_it_has_cost(
    start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]], stream: bool
) -> None:
    answer = (
        b'{"error": {"message": "It broke.", "type": "server_error"}, "choices": [],'
        b' "usage": {"prompt_tokens": 70, "completion_tokens": 30}}'
    )
    asker = await start_engine(await raw_upstream(raw("200 OK", answer)), prices=PRICES)
    outcome = await asker.ask("m", stream=stream)
    assert outcome.usage == Usage(70, 30)


async def test_a_usage_in_a_whole_answer_that_came_for_a_stream_counts(
    start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]]
) -> None:
    answer = (
        b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],'
        b' "usage": {"prompt_tokens": 70, "completion_tokens": 30}}'
    )
    asker = await start_engine(await raw_upstream(raw("200 OK", answer)), prices=PRICES)
    assert (await asker.ask("m", stream=True)).usage == Usage(70, 30)
    assert (await asker.ask("m|m")).attempts[0].usage == Usage(70, 30)


async def test_a_cut_whole_answer_is_taken_to_be_as_long_as_the_model_usually_speaks(
    simulator: SimulatorThread, asker: Asker
) -> None:
    simulator.script("m", Behaviour(answer="one two three four", times=1), Behaviour(latency_s=9))
    told = (await asker.ask("m")).usage
    assert told is not None and not told.estimated
    outcome = await asker.ask("m", timeout=0.1)
    assert outcome.usage == estimate(told.completion_tokens)
    bounded = await asker.ask("m", {"max_tokens": 2}, timeout=0.1)
    assert bounded.usage == estimate(2)
    twice = await asker.ask("m", {"n": 2}, timeout=0.1)
    assert twice.usage == estimate(told.completion_tokens * 2)


async def test_a_cut_whole_answer_of_a_model_without_a_price_has_no_completion(
    simulator: SimulatorThread, asker: Asker
) -> None:
    """A server of one's own stops its work when it is cut."""
    simulator.script("free", Behaviour(latency_s=9))
    assert (await asker.ask("free", timeout=0.1)).usage == estimate(0)


async def test_a_stream_of_a_model_that_thinks_is_billed_for_thoughts_that_nobody_saw(
    simulator: SimulatorThread, asker: Asker
) -> None:
    simulator.script(
        "m",
        Behaviour(answer="one two", first_token_s=0.2, reasoning_tokens=400, times=1),
        Behaviour(first_token_s=9),
    )
    await asker.ask("m", stream=True)
    outcome = await asker.ask("m", stream=True, timeout=0.1)
    assert outcome.usage is not None
    assert outcome.usage.estimated
    assert outcome.usage.completion_tokens == outcome.usage.reasoning_tokens == pytest.approx(200, rel=0.3)
    bounded = await asker.ask("m", {"max_completion_tokens": 30, "max_tokens": 5}, stream=True, timeout=0.1)
    assert bounded.usage is not None
    assert bounded.usage.completion_tokens == 30


async def test_before_anything_is_learned_the_name_of_a_model_tells_that_it_thinks(
    simulator: SimulatorThread, asker: Asker
) -> None:
    simulator.script("o3", Behaviour(first_token_s=9))
    simulator.script("gpt-4o", Behaviour(first_token_s=9))
    thinker, other = [await asker.ask(model, stream=True, timeout=0.2) for model in ("o3", "gpt-4o")]
    assert thinker.usage is not None
    assert thinker.usage.reasoning_tokens == pytest.approx(0.2 * USUAL_SPEED, rel=0.3)
    assert other.usage == estimate(0)


async def test_a_cut_attempt_is_billed_for_a_cached_prompt_if_the_model_is_known_to_cache(
    simulator: SimulatorThread, asker: Asker
) -> None:
    long = {"messages": [{"role": "user", "content": "All work and no play. " * 400}]}
    prompt = CHAT_COMPLETIONS.prompt_tokens(long)
    simulator.script("m", Behaviour(times=1), Behaviour(cached_tokens=1_920, times=1), Behaviour(first_token_s=9))
    for _ in range(2):
        assert not (await asker.ask("m", long, stream=True)).cost_estimated
    cut = await asker.ask("m", long, stream=True, timeout=0.1)
    assert cut.usage is not None and cut.usage.estimated
    assert cut.usage.prompt_tokens == prompt
    assert cut.usage.cached_tokens == pytest.approx(1_920, rel=0.15)  # the simulator has a count of its own
    other = await asker.ask(
        "m", {"messages": [{"role": "user", "content": "Another. " * 2_000}]}, stream=True, timeout=0.1
    )
    assert other.usage is not None
    assert other.usage.cached_tokens == 0


async def test_a_model_that_is_not_known_to_cache_has_no_discount(simulator: SimulatorThread, asker: Asker) -> None:
    long = {"messages": [{"role": "user", "content": "All work and no play. " * 400}]}
    simulator.script("m", Behaviour(times=2), Behaviour(first_token_s=9))
    for _ in range(2):
        await asker.ask("m", long, stream=True)
    cut = await asker.ask("m", long, stream=True, timeout=0.1)
    assert cut.usage is not None
    assert cut.usage.cached_tokens == 0


async def test_each_racer_counts_the_prompt_as_its_model_does(simulator: SimulatorThread, asker: Asker) -> None:
    hindi = {"messages": [{"role": "user", "content": "भारत एक विशाल देश है।" * 10}]}
    for model in ("gpt-4", "gpt-4o"):
        simulator.script(model, Behaviour(latency_s=9))
    outcome = await asker.ask("gpt-4|gpt-4o", hindi, timeout=0.1)
    counted = [attempt.usage.prompt_tokens for attempt in outcome.attempts if attempt.usage]
    assert counted == [CHAT_COMPLETIONS.prompt_tokens(hindi, model) for model in ("gpt-4", "gpt-4o")]
    assert counted[0] > 2 * counted[1]
