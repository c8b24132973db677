"""What holds for every call, whatever the route, the upstreams and the callers do: properties over random worlds.

The engine's own Call, Walk, Upstream, breakers and budget run on an injected clock; only the SDK's client is scripted.
`HYPOTHESIS_PROFILE=deep` tries 5,000 worlds for each property instead of 200.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm import errors
from llm.adaptation import RefusedParameters
from llm.assembly import first_text
from llm.attempt import Attempt
from llm.call import Call, Parts, Success
from llm.circuit_breaker import CircuitBreakers, Permit
from llm.config import EngineConfig, Provider
from llm.errors import InvalidRequest, ModelSkipped, UnsupportedParameter, UpstreamError
from llm.hedging import WINDOW_SECONDS, HedgeBudget
from llm.pricing import PriceList
from llm.route import parse_route
from llm.types import AttemptStatus, CallOutcome, CallRequest, CallStatus, Json, ModelRef
from llm.upstream import Upstream
from llm.walk import Heat
from tests.llm.virtual_time import run

settings.register_profile("default", max_examples=200, deadline=None)
settings.register_profile(
    "deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

NEVER = 1e6
PROVIDERS = {"openai": Provider(name="openai", base_url="http://scripted.invalid/v1", api_key="sk-test")}
PRICES = PriceList()
NOISE = 1e-6
"""Times are multiples of 1/8 s, which floats add up exactly; only a retry's jitter is not."""


# The world: what upstreams and callers will do


@dataclass(frozen=True)
class Fault:
    """How a request fails: an error of ours, a connection that is cut, or an upstream that says nothing more."""

    kind: type[UpstreamError] | Literal["cut", "stalled"]
    retry_after: float | None = None
    parameter: str = "temperature"

    def error(self) -> UpstreamError:
        assert not isinstance(self.kind, str)
        details: Json = {"retry_after": self.retry_after, "http_status": 500, "upstream_request_id": "req"}
        if issubclass(self.kind, UnsupportedParameter):
            details["parameter"] = self.parameter
        return self.kind("scripted", **details)


@dataclass(frozen=True)
class Behaviour:
    """One request: `before` seconds, then `pieces` of text each after a `gap`; a fault comes after `good` of them."""

    before: float = 0.0
    gap: float = 0.0
    pieces: int = 1
    fault: Fault | None = None
    good: int = 0

    @property
    def said(self) -> int:
        return self.pieces if self.fault is None else min(self.good, self.pieces)

    @property
    def first_after(self) -> float:
        return self.before + self.gap * min(1, self.said)

    @property
    def whole_after(self) -> float:
        return self.before + self.gap * self.said


@dataclass(frozen=True)
class Gone:
    """The caller goes `at` seconds into the call and `ticks` turns of the loop, and is told so `times` times."""

    at: float
    ticks: int
    times: int


@dataclass(frozen=True)
class Caller:
    route: str
    stream: bool = False
    starts: float = 0.0
    timeout: float | None = None
    hedge_after: float = 0.0
    default_message: str | None = None
    reading: float = 0.0
    gone: Gone | None = None


@dataclass(frozen=True)
class World:
    """`models`: for each model how its requests go in turn; the last one is also how all later ones go."""

    models: dict[str, list[Behaviour]]
    callers: list[Caller]
    config: EngineConfig


# What was seen of it


@dataclass
class Sent:
    """One request as the upstream saw it."""

    caller: int
    model: str
    heat: Heat
    started: float
    text: str
    ended: float | None = None


@dataclass
class Racer:
    """One model in one heat, skipped or sent."""

    model: str
    heat: Heat
    started: float
    ended: float | None = None
    success: Success | None = None
    error: BaseException | None = None


@dataclass
class Seen:
    """One call as its caller, its record and its upstreams saw it."""

    caller: Caller
    started: float = 0.0
    call: Call | None = None
    outcomes: list[CallOutcome] = field(default_factory=list)
    ended: float = 0.0
    racing_at_end: int = 0
    open_at_end: int = 0
    was_told: CallOutcome | None = None
    text: str = ""
    drained: bool = False
    sent: list[Sent] = field(default_factory=list)
    racers: list[Racer] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    deadline: float = 0.0

    @property
    def outcome(self) -> CallOutcome:
        return self.outcomes[0]

    def heats(self) -> list[list[Racer]]:
        heats: dict[int, list[Racer]] = defaultdict(list)
        for racer in self.racers:
            heats[racer.heat.number].append(racer)
        return [heats[number] for number in sorted(heats)]


@dataclass
class History:
    calls: list[Seen]
    most_trials: int
    grants: list[float]
    hedging_calls: list[float]


def now() -> float:
    return asyncio.get_running_loop().time()


class ScriptedClient:
    """Stands in for the SDK's client, for one request."""

    def __init__(self, attempt: Attempt, behaviour: Behaviour, serial: int, seen: Seen, caller: int) -> None:
        self._behaviour = behaviour
        model = attempt.model.name
        self._pieces = [f"[{model}#{serial}:{piece}]" for piece in range(behaviour.pieces)]
        self._sent = Sent(caller, model, attempt.heat, now(), "".join(self._pieces))
        self._seen = seen
        seen.attempts.append(attempt)

    async def post(self, path: str, *, stream: bool = False, **_: object) -> Any:
        self._seen.sent.append(self._sent)
        try:
            if not stream:
                return await self._whole()
            await asyncio.sleep(self._behaviour.before)
            if self._behaviour.said == 0:
                await self._fail(in_stream=False)
            return ScriptedStream(self._chunks(), self._sent)
        except BaseException:
            self._sent.ended = now()
            raise

    async def _whole(self) -> httpx2.Response:
        await asyncio.sleep(self._behaviour.whole_after)
        await self._fail(in_stream=False)
        self._sent.ended = now()
        message = {"role": "assistant", "content": self._sent.text}
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return httpx2.Response(200, content=json.dumps(answer))

    async def _chunks(self) -> AsyncIterator[Json]:
        yield {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
        for piece in self._pieces[: self._behaviour.said]:
            await asyncio.sleep(self._behaviour.gap)
            yield {"choices": [{"index": 0, "delta": {"content": piece}}]}
        if self._behaviour.fault is None:
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await self._fail(in_stream=True)

    async def _fail(self, *, in_stream: bool) -> None:
        match self._behaviour.fault:
            case Fault(kind="stalled"):
                await asyncio.sleep(NEVER)
            case Fault(kind="cut") if not in_stream:
                raise errors.UpstreamUnavailable("cut")
            case Fault(kind=type()) as fault:
                raise fault.error()


class ScriptedStream:
    def __init__(self, chunks: AsyncIterator[Json], sent: Sent) -> None:
        self._chunks = chunks
        self._sent = sent
        self.response = httpx2.Response(200, headers={"content-type": "text/event-stream"})

    def __aiter__(self) -> AsyncIterator[Json]:
        return self._chunks

    async def __anext__(self) -> Json:
        return await anext(self._chunks)

    async def close(self) -> None:
        self._sent.ended = now() if self._sent.ended is None else self._sent.ended
        await asyncio.sleep(0)


class ScriptedUpstream(Upstream):
    """The engine's upstream, up to its seam with the SDK."""

    def __init__(self, world: World, calls: list[Seen]) -> None:
        super().__init__(world.config)
        self._world = world
        self._calls = calls
        self._serials: dict[str, int] = defaultdict(int)

    def _client_for(self, attempt: Attempt) -> Any:
        model = attempt.model.name
        serial = self._serials[model]
        self._serials[model] += 1
        behaviours = self._world.models[model]
        caller = next(i for i, seen in enumerate(self._calls) if seen.call and attempt in seen.call._attempts)
        return ScriptedClient(
            attempt, behaviours[min(serial, len(behaviours) - 1)], serial, self._calls[caller], caller
        )


class WatchedCall(Call):
    """A call whose racers are noted: also the skipped ones, which no upstream sees."""

    racers: list[Racer]

    async def _attempt(self, model: ModelRef, heat: Heat) -> Success:
        racer = Racer(model.name, heat, now())
        self.racers.append(racer)
        try:
            racer.success = await super()._attempt(model, heat)
        except BaseException as error:
            racer.error = error
            raise
        finally:
            racer.ended = now()
        return racer.success


class WatchedBreakers(CircuitBreakers):
    """Counts the trials of each model that are under way."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.trials: dict[ModelRef, int] = defaultdict(int)
        self.most_trials = 0

    def admit(self, model: ModelRef) -> Permit | None:
        permit = super().admit(model)
        if permit is not None and permit.is_trial:
            self.trials[model] += 1
            self.most_trials = max(self.most_trials, self.trials[model])
        return permit

    def succeeded(self, permit: Permit) -> None:
        self.trials[permit.model] -= permit.is_trial
        super().succeeded(permit)

    def failed(self, permit: Permit, *, retry_after: float | None = None) -> None:
        self.trials[permit.model] -= permit.is_trial
        super().failed(permit, retry_after=retry_after)

    def abandoned(self, permit: Permit) -> None:
        self.trials[permit.model] -= permit.is_trial
        super().abandoned(permit)


class WatchedBudget(HedgeBudget):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[float] = []
        self.grants: list[float] = []

    def call_started(self) -> None:
        self.calls.append(now())
        super().call_started()

    def allow(self) -> bool:
        allowed = super().allow()
        if allowed:
            self.grants.append(now())
        return allowed


# Playing it


def play(world: World) -> History:
    """Run a world to its end. Fails if it gets stuck, leaves a task behind, or asyncio has something to complain of."""
    return run(_play(world))


async def _play(world: World) -> History:
    calls = [Seen(caller) for caller in world.callers]
    clock = asyncio.get_running_loop().time
    config = world.config
    breakers = WatchedBreakers(failures=config.breaker_failures, cooldown=config.breaker_cooldown, clock=clock)
    hedges = WatchedBudget(share=config.hedge_budget, clock=clock)
    parts = Parts(
        config=config,
        upstream=ScriptedUpstream(world, calls),
        prices=PRICES,
        breakers=breakers,
        hedges=hedges,
        refused=RefusedParameters(),
    )
    await asyncio.gather(*(_one_call(parts, seen) for seen in calls))
    assert not any(breakers.trials.values()), "a trial ended without a verdict"
    return History(calls, breakers.most_trials, hedges.grants, hedges.calls)


async def _one_call(parts: Parts, seen: Seen) -> None:
    caller = seen.caller

    async def on_end(outcome: CallOutcome) -> None:
        seen.outcomes.append(outcome)
        seen.ended = now()
        seen.racing_at_end = sum(racer.ended is None for racer in seen.racers)
        seen.open_at_end = sum(sent.ended is None for sent in seen.sent)
        await asyncio.sleep(0.125)

    await asyncio.sleep(caller.starts)
    request = CallRequest(
        route=parse_route(caller.route, providers=PROVIDERS, default_provider="openai"),
        body={"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "max_tokens": 9},
        stream=caller.stream,
        timeout=caller.timeout,
        hedge_after=caller.hedge_after,
        default_message=caller.default_message,
    )
    seen.started = now()
    seen.deadline = now() + (parts.config.request_timeout if caller.timeout is None else caller.timeout)
    seen.call = call = WatchedCall(parts, request, on_end)
    call.racers = seen.racers
    reader = asyncio.create_task(_read(seen, call))
    if caller.gone is not None:
        await _go(caller.gone, call, reader)
    await asyncio.wait([reader, call.task])
    assert reader.cancelled() or reader.exception() is None, reader.exception()
    assert call.task.exception() is None


async def _read(seen: Seen, call: Call) -> None:
    if seen.caller.stream:
        async with aclosing(call.chunks()) as chunks:
            async for chunk in chunks:
                seen.text += first_text(chunk)
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


# Random worlds


def seconds(low: float, high: float) -> st.SearchStrategy[float]:
    """On a grid, so that things do happen in the same instant."""
    return st.integers(round(low * 8), round(high * 8)).map(lambda eighths: eighths / 8)


def _below(kind: type[UpstreamError]) -> Iterator[type[UpstreamError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


KINDS = sorted(set(_below(UpstreamError)) - {ModelSkipped}, key=lambda kind: kind.code)
NAMES = ["m0", "m1", "m2", "m3", "m4"]

faults = st.builds(
    Fault,
    kind=st.sampled_from([*KINDS, "cut", "stalled"]),
    retry_after=st.none() | seconds(0, 4),
    parameter=st.sampled_from(["temperature", "max_tokens", "max_completion_tokens", "messages"]),
)
behaviours = st.builds(
    Behaviour,
    before=seconds(0, 2),
    gap=seconds(0, 1),
    pieces=st.sampled_from([1, 1, 2, 3, 4, 80]),
    fault=st.none() | faults,
    good=st.sampled_from([0, 0, 1, 2, 70]),
)
routes = st.lists(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).map("|".join), min_size=1, max_size=4
).map(">".join)
goings = st.builds(Gone, at=seconds(0, 4), ticks=st.integers(0, 14), times=st.just(1)).filter(
    lambda gone: gone.at or gone.ticks  # KNOWN 1
)
callers = st.builds(
    Caller,
    route=routes,
    stream=st.booleans(),
    starts=seconds(0, 3),
    timeout=st.none() | seconds(0.125, 6),
    hedge_after=st.sampled_from([0.0, 0.0, 0.125, 0.5, 1.0]),
    default_message=st.none() | st.just("Sorry."),
    reading=st.sampled_from([0.0, 0.0, 0.125, 1.0]),
    gone=st.none() | goings,
)
configs = st.builds(
    EngineConfig,
    providers=st.just(PROVIDERS),
    request_timeout=seconds(1, 12),
    attempt_timeout=st.none() | seconds(0.5, 4),
    first_token_timeout=seconds(0.5, 4),
    stream_idle_timeout=seconds(0.5, 4),
    max_retries=st.integers(0, 3),
    retry_base=st.sampled_from([0.0, 0.0, 0.5]),
    hedge_budget=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    breaker_failures=st.integers(1, 4),
    breaker_cooldown=seconds(0.125, 3),
)
models = st.fixed_dictionaries({name: st.lists(behaviours, min_size=1, max_size=3) for name in NAMES})
worlds = st.builds(World, models=models, callers=st.lists(callers, min_size=1, max_size=4), config=configs)


def holds_in_every_world(prop: Callable[[World], None]) -> Callable[[], None]:
    return PROFILE(given(world=worlds)(prop))


# The properties


@holds_in_every_world
def test_every_call_has_exactly_one_outcome_and_its_caller_is_told_that_one(world: World) -> None:
    for seen in play(world).calls:
        assert len(seen.outcomes) == 1
        if seen.caller.gone is None:
            assert seen.was_told is seen.outcome
            assert seen.outcome.status is not CallStatus.CANCELLED


@holds_in_every_world
def test_every_request_that_was_sent_is_on_record_in_the_order_of_its_start(world: World) -> None:
    for seen in play(world).calls:
        records = seen.outcome.attempts
        assert [record.ordinal for record in records] == list(range(len(records)))
        ran = [record for record in records if record.status is not AttemptStatus.SKIPPED]
        assert [record.model for record in ran] == [sent.model for sent in seen.sent]
        for record, sent in zip(ran, seen.sent, strict=True):
            assert record.started_after_ms == round((sent.started - seen.started) * 1000)


@holds_in_every_world
def test_one_attempt_has_succeeded_if_the_call_has_and_otherwise_none(world: World) -> None:
    for seen in play(world).calls:
        succeeded = [a for a in seen.outcome.attempts if a.status is AttemptStatus.SUCCEEDED]
        assert len(succeeded) == (seen.outcome.status is CallStatus.SUCCEEDED)


@holds_in_every_world
def test_nothing_is_running_when_the_outcome_is_known(world: World) -> None:
    for seen in play(world).calls:
        assert seen.racing_at_end == 0
        assert seen.open_at_end == 0
        assert all(sent.ended is not None and sent.ended <= seen.ended for sent in seen.sent)


@holds_in_every_world
def test_the_deadline_bounds_everything(world: World) -> None:
    for seen in play(world).calls:
        assert all(racer.started <= seen.deadline for racer in seen.racers)
        assert all(racer.ended is not None and racer.ended <= seen.deadline for racer in seen.racers)
        if not seen.caller.stream or seen.caller.timeout is not None:
            assert seen.ended <= seen.deadline


@holds_in_every_world
def test_a_stream_delivers_the_text_of_one_answer_and_all_of_it_if_it_succeeds(world: World) -> None:
    for seen in play(world).calls:
        answers = [sent.text for sent in seen.sent if sent.text.startswith(seen.text)]
        if seen.outcome.status is CallStatus.DEFAULTED:
            assert seen.outcome.content == "Sorry."
        elif seen.caller.stream:
            assert answers or not seen.text
            assert seen.outcome.content.startswith(seen.text)
        if seen.outcome.status is CallStatus.SUCCEEDED:
            [winner] = [a for a in seen.outcome.attempts if a.status is AttemptStatus.SUCCEEDED]
            assert winner.model == seen.outcome.model_used
            assert seen.outcome.content in [sent.text for sent in seen.sent if sent.model == winner.model]
        if seen.drained:
            assert seen.text == seen.outcome.content


@holds_in_every_world
def test_the_model_that_is_named_is_the_one_whose_text_it_is(world: World) -> None:
    for seen in play(world).calls:
        if seen.outcome.content and seen.outcome.status is not CallStatus.DEFAULTED:
            assert seen.outcome.content.startswith(f"[{seen.outcome.model_used}#")


@holds_in_every_world
def test_a_stage_starts_after_every_racer_of_the_one_before_has_ended(world: World) -> None:
    for seen in play(world).calls:
        heats = seen.heats()
        for earlier, later in zip(heats, heats[1:], strict=False):
            assert later[0].heat.stage in (earlier[0].heat.stage, earlier[0].heat.stage + 1)
            assert all(isinstance(racer.error, UpstreamError) for racer in earlier)
            assert max(racer.ended or 0.0 for racer in earlier) <= min(racer.started for racer in later)


@holds_in_every_world
def test_only_the_last_stage_is_retried_and_no_model_before_it_allows_it(world: World) -> None:
    for seen in play(world).calls:
        heats = seen.heats()
        last = seen.caller.route.count(">")
        numbers = [heat[0].heat.stage for heat in heats]
        assert all(numbers.count(stage) == 1 for stage in numbers if stage < last)
        assert numbers.count(last) <= 1 + world.config.max_retries
        for earlier, later in zip(heats, heats[1:], strict=False):
            if earlier[0].heat.stage == later[0].heat.stage:
                for retry in later:
                    [failed] = [racer for racer in earlier if racer.model == retry.model]
                    assert isinstance(failed.error, UpstreamError) and failed.error.retryable
                    assert retry.started >= (failed.ended or 0.0) + (failed.error.retry_after or 0.0) - NOISE


@holds_in_every_world
def test_a_request_that_is_wrong_is_not_sent_to_another_stage_and_not_sent_again(world: World) -> None:
    for seen in play(world).calls:
        for heat in seen.heats()[:-1]:
            assert not any(isinstance(racer.error, InvalidRequest) for racer in heat)
        if any(isinstance(racer.error, InvalidRequest) for racer in seen.racers):
            assert seen.outcome.status is not CallStatus.DEFAULTED


@holds_in_every_world
def test_a_half_open_breaker_lets_one_trial_through_at_a_time(world: World) -> None:
    assert play(world).most_trials <= 1


@holds_in_every_world
def test_a_call_that_failed_has_asked_at_least_one_model_of_the_last_stage_it_reached(world: World) -> None:
    for seen in play(world).calls:
        if seen.outcome.status in (CallStatus.FAILED, CallStatus.DEFAULTED):
            assert seen.sent, "the caller is told that it failed, and no one was asked"


@holds_in_every_world
def test_the_first_success_of_a_race_is_the_winner(world: World) -> None:
    for seen in play(world).calls:
        successes = [racer for racer in seen.racers if racer.success is not None]
        records = {a.ordinal: a.status for a in seen.outcome.attempts}
        winners = [r for r in successes if r.success and records[r.success.attempt.ordinal] is not AttemptStatus.LOST]
        assert len(winners) <= 1
        for winner in winners:
            assert winner.ended == min(racer.ended or 0.0 for racer in successes)
        if seen.outcome.status is CallStatus.SUCCEEDED:
            assert len({racer.ended for racer in successes}) == 1, "the losers were not cancelled at once"


@holds_in_every_world
def test_a_hedge_starts_after_its_delay_or_a_failure_and_within_the_budget(world: World) -> None:
    history = play(world)
    hedges = 0
    for seen in history.calls:
        for heat in seen.heats() if seen.caller.hedge_after else ():
            failures = [racer.ended or 0.0 for racer in heat if isinstance(racer.error, UpstreamError)]
            for earlier, racer in zip(heat, heat[1:], strict=False):
                waited = racer.started >= earlier.started + seen.caller.hedge_after
                assert waited or any(earlier.started <= failure <= racer.started for failure in failures)
            hedges += max(0, len(heat) - 1 - len(failures))
    assert hedges <= len(history.grants)
    for i, moment in enumerate(history.grants):
        recent = [grant for grant in history.grants[: i + 1] if grant >= moment - WINDOW_SECONDS]
        calls = [start for start in history.hedging_calls if moment - WINDOW_SECONDS <= start <= moment]
        assert world.config.hedge_budget > 0
        assert len(recent) <= max(1, math.ceil(world.config.hedge_budget * len(calls)))
