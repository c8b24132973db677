"""The engine: what all calls share, and the one way to start a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from types import TracebackType
from typing import Self

from llm.calls.call import Call
from llm.calls.context import EngineContext
from llm.calls.reading_on import ReadingOn
from llm.calls.request import CallRequest, OnEnd, OnLateEnd, ignore
from llm.config import EngineConfig
from llm.costs.estimates import Experience
from llm.costs.pricing import PriceList
from llm.costs.tokens import load_tokenizer
from llm.routing.circuit_breaker import BreakerState, CircuitBreakers
from llm.routing.hedging import HedgeBudget
from llm.routing.notation import parse_route
from llm.routing.route import ModelOperation, ModelRef, Route
from llm.upstream.adaptation import RefusedParameters
from llm.upstream.client import Upstream

# How many routes are remembered as they were read. Most calls name one of a few.
MAX_REMEMBERED_ROUTES = 1_000


class Engine:
    """One for the life of an event loop: `async with Engine(config) as engine`. The loop's clock is the engine's.

    On leaving, calls that are still open are cancelled and awaited, and what is still read on is cut, so that each call
    ends on record.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._upstream = Upstream(config)
        self._calls: set[Call] = set()
        self._read_route: Callable[[str], Route] = lru_cache(MAX_REMEMBERED_ROUTES)(
            partial(
                parse_route,
                providers=config.providers,
                default_provider=config.default_provider,
                routes=config.routes,
            )
        )

    async def __aenter__(self) -> Self:
        load_tokenizer()
        clock = asyncio.get_running_loop().time
        prices = PriceList(self.config.prices)
        await self._upstream.__aenter__()
        self._context = EngineContext(
            config=self.config,
            upstream=self._upstream,
            prices=prices,
            breakers=CircuitBreakers(
                failures=self.config.breaker_failures, cooldown=self.config.breaker_cooldown, clock=clock
            ),
            hedges=HedgeBudget(share=self.config.hedge_budget, clock=clock),
            refused=RefusedParameters(clock=clock),
            reading_on=ReadingOn(seconds=self.config.read_on_seconds, calls=self.config.read_on_calls, prices=prices),
            experience=Experience(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cancel_open_calls()
        await self._upstream.__aexit__(kind, error, trace)

    def route(self, written: str) -> Route:
        """Read a route by this engine's providers and named routes. Raises RouteError."""
        return self._read_route(written)

    def start(self, request: CallRequest, on_end: OnEnd, on_late_end: OnLateEnd = ignore) -> Call:
        """Start a call. `on_end` gets its outcome, exactly once, before its caller sees the end of the answer.

        If that outcome is `reading_on`, `on_late_end` gets what became of it, exactly once.
        """
        call = Call(self._context, request, on_end, on_late_end)
        self._calls.add(call)
        call.task.add_done_callback(lambda _: self._calls.discard(call))
        return call

    @property
    def open_calls(self) -> int:
        """How many calls have not ended yet."""
        return sum(not call.is_settled for call in self._calls)

    @property
    def read_on(self) -> int:
        """How many answers are read on that nobody waits for any more."""
        return len(self._context.reading_on)

    async def finish_reading_on(self, *, within: float) -> None:
        """Wait until nothing is read on any more, because the service stops. Cuts what has not ended `within` seconds.

        What nobody waits for from now on has the same bound.
        """
        self._context.reading_on.end_by(asyncio.get_running_loop().time() + within)
        settled = [call.task for call in self._calls if call.is_settled]
        if settled:
            await asyncio.wait(settled)

    async def cancel_open_calls(self) -> None:
        """Cancel all calls because the service stops, and wait until each of them is on record. Nothing is read on."""
        self._context.reading_on.end_by(asyncio.get_running_loop().time())
        calls = list(self._calls)
        for call in calls:
            call.cancel(stopping=True)
        if calls:
            await asyncio.wait([call.task for call in calls])

    def key_states(self) -> dict[str, str]:
        """By provider's name: `ok`, `no key`, or how many of its keys were refused. No key is named."""
        providers = self.config.providers
        return {
            providers[name].name: "ok" if not providers[name].needs_key and not keys.any else keys.state
            for name, keys in self._upstream.keys.items()
        }

    def refused_parameters(self) -> dict[ModelRef, list[str]]:
        """The names of the parameters that are left out at present, because a model has refused them."""
        return self._context.refused.names()

    def breaker_states(self) -> dict[ModelOperation, BreakerState]:
        """The circuit breakers that are not closed, if only for one caller."""
        return self._context.breakers.states()
