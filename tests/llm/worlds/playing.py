"""Playing a world to its end, on a virtual clock."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from llm import CHAT_COMPLETIONS
from llm.calls.call import Call
from llm.calls.context import EngineContext
from llm.calls.request import CallOutcome, CallRequest, LateEnd
from llm.costs.estimates import Experience
from llm.costs.pricing import PriceList
from llm.routing.notation import parse_route
from llm.upstream.adaptation import RefusedParameters
from tests.llm.conftest import chunks
from tests.llm.worlds.history import History, Seen, now
from tests.llm.worlds.scripted_upstream import ScriptedUpstream
from tests.llm.worlds.watched import WatchedBreakers, WatchedBudget, WatchedCall, WatchedReadingOn
from tests.llm.worlds.world import NEVER, PROVIDERS, Gone, World
from tests.support.virtual_time import run


def play(world: World) -> History:
    """Run a world to its end. Fails if it gets stuck, leaves a task behind, or asyncio has something to complain of."""
    return run(_play(world))


async def _play(world: World) -> History:
    calls = [Seen(caller) for caller in world.callers]
    clock = asyncio.get_running_loop().time
    config = world.config
    prices = PriceList(config.prices)
    breakers = WatchedBreakers(failures=config.breaker_failures, cooldown=config.breaker_cooldown, clock=clock)
    hedges = WatchedBudget(share=config.hedge_budget, clock=clock)
    reading_on = WatchedReadingOn(seconds=config.read_on_seconds, calls=config.read_on_calls, prices=prices)
    context = EngineContext(
        config=config,
        upstream=ScriptedUpstream(world, calls),
        prices=prices,
        breakers=breakers,
        hedges=hedges,
        refused=RefusedParameters(clock=clock),
        reading_on=reading_on,
        experience=Experience(),
    )
    await asyncio.gather(*(_one_call(context, seen, name=str(number)) for number, seen in enumerate(calls)))
    assert not len(reading_on), "something is still read on"
    assert not breakers.permits, "a trial ended without a verdict"
    await asyncio.sleep(NEVER)
    assert all(breakers.would_admit(model) for model in breakers.states()), "a breaker never closes again"
    return History(calls, breakers.most_trials, hedges.grants, hedges.calls, reading_on.most)


async def _one_call(context: EngineContext, seen: Seen, *, name: str) -> None:
    """`name` goes with the request, so that the upstream can tell whose it is."""
    caller = seen.caller

    async def on_end(outcome: CallOutcome) -> None:
        seen.outcomes.append(outcome)
        seen.ended = now()
        seen.racing_at_end = sum(racer.ended is None for racer in seen.racers)
        seen.open_at_end = [sent for sent in seen.sent if sent.ended is None]
        await asyncio.sleep(0.125)

    async def on_late_end(late_end: LateEnd) -> None:
        seen.late_ends.append(late_end)
        assert all(sent.ended is not None for sent in seen.sent), "something is read on after its late end"

    await asyncio.sleep(caller.starts)
    request = CallRequest(
        route=parse_route(caller.route, providers=PROVIDERS, default_provider="openai"),
        body={"messages": [{"role": "user", "content": name}], "temperature": 0.5, "max_tokens": 9},
        caller=caller.who,
        stream=caller.stream,
        timeout=caller.timeout,
        hedge_after=caller.hedge_after,
        default_message=caller.default_message,
    )
    seen.started = now()
    seen.deadline = now() + (context.config.request_timeout if caller.timeout is None else caller.timeout)
    call = WatchedCall(context, request, on_end, on_late_end)
    call.watch(seen.racers)
    reader = asyncio.create_task(_read(seen, call))
    if caller.gone is not None:
        await _go(caller.gone, call, reader)
    await asyncio.wait([reader, call.task])
    assert reader.cancelled() or reader.exception() is None, reader.exception()
    assert call.task.exception() is None


async def _read(seen: Seen, call: Call) -> None:
    if seen.caller.stream:
        async with aclosing(chunks(call)) as arriving:
            async for chunk in arriving:
                seen.text += CHAT_COMPLETIONS.text(chunk)
                await asyncio.sleep(seen.caller.reading)
        seen.drained = True
    seen.was_told = await call.settled()


async def _go(gone: Gone, call: Call, reader: asyncio.Task[None]) -> None:
    if gone.at:
        await asyncio.sleep(gone.at)
    for _ in range(gone.ticks):
        await asyncio.sleep(0)
    reader.cancel()
    for _ in range(gone.times):
        call.cancel()
        await asyncio.sleep(0)
