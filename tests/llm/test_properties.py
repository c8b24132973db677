"""What holds for every call, whatever the route, the upstreams and the callers do: properties over random worlds.

The engine's own Call, Walk, Upstream, breakers and budget run on an injected clock; only the HTTP client is scripted.
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
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from llm import CHAT_COMPLETIONS, AttemptStatus, CallStatus, ModelRef, errors
from llm.calls.asking import Asking, Success
from llm.calls.call import Call
from llm.calls.context import EngineContext
from llm.calls.request import CallOutcome, CallRequest
from llm.config import EngineConfig, Provider
from llm.costs.pricing import PriceList
from llm.errors import InvalidRequest, ModelSkipped, UnsupportedParameter, UpstreamError
from llm.json_values import Json
from llm.routing.circuit_breaker import CircuitBreakers, Permit
from llm.routing.hedging import WINDOW_SECONDS, HedgeBudget
from llm.routing.notation import parse_route
from llm.routing.walk import Race
from llm.upstream.adaptation import RefusedParameters
from llm.upstream.attempt import Attempt
from llm.upstream.client import Upstream
from tests.llm.conftest import chunks
from tests.support.virtual_time import run

PROFILES = {
    "default": settings(max_examples=200, deadline=None),
    "deep": settings(max_examples=5_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]),
}
PROFILE = PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "default")]

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

    model: str
    race: Race
    started: float
    text: str
    ended: float | None = None


@dataclass
class Racer:
    """One model in one race, skipped or sent."""

    model: str
    race: Race
    started: float
    ended: float | None = None
    success: Success | None = None
    error: BaseException | None = None


@dataclass
class Seen:
    """One call as its caller, its record and its upstreams saw it."""

    caller: Caller
    started: float = 0.0
    outcomes: list[CallOutcome] = field(default_factory=list)
    ended: float = 0.0
    racing_at_end: int = 0
    open_at_end: int = 0
    was_told: CallOutcome | None = None
    text: str = ""
    drained: bool = False
    sent: list[Sent] = field(default_factory=list)
    racers: list[Racer] = field(default_factory=list)
    deadline: float = 0.0

    @property
    def outcome(self) -> CallOutcome:
        return self.outcomes[0]

    def races(self) -> list[list[Racer]]:
        races: dict[int, list[Racer]] = defaultdict(list)
        for racer in self.racers:
            races[racer.race.number].append(racer)
        return [races[number] for number in sorted(races)]


@dataclass
class History:
    calls: list[Seen]
    most_trials: int
    grants: list[float]
    hedging_calls: list[float]


def now() -> float:
    return asyncio.get_running_loop().time()


class ScriptedRequest:
    """Stands in for one HTTP request."""

    def __init__(self, attempt: Attempt, behaviour: Behaviour, serial: int, calls: list[Seen]) -> None:
        self._behaviour = behaviour
        self._calls = calls
        model = attempt.model.name
        self._pieces = [f"[{model}#{serial}:{piece}]" for piece in range(behaviour.pieces)]
        self._sent = Sent(model, attempt.race, now(), "".join(self._pieces))

    async def send(self, body: Json) -> Any:
        self._calls[int(body["messages"][0]["content"])].sent.append(self._sent)
        try:
            if not body.get("stream"):
                return ScriptedResponse(await self._whole(), self._sent)
            await asyncio.sleep(self._behaviour.before)
            if self._behaviour.said == 0:
                await self._fail(in_stream=False)
            return ScriptedResponse(self._chunks(), self._sent)
        except BaseException:
            self._sent.ended = now()
            raise

    async def _whole(self) -> Json:
        await asyncio.sleep(self._behaviour.whole_after)
        await self._fail(in_stream=False)
        self._sent.ended = now()
        message = {"role": "assistant", "content": self._sent.text}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

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


class ScriptedResponse:
    """As much of aiohttp's answer as the engine uses; its own `content`."""

    status = 200
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, said: Json | AsyncIterator[Json], sent: Sent) -> None:
        self._said = said
        self._sent = sent
        self.content_type = "application/json" if isinstance(said, dict) else "text/event-stream"
        self.content = self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def read(self) -> bytes:
        return json.dumps(self._said).encode()

    async def readany(self) -> bytes:
        assert not isinstance(self._said, dict)
        chunk = await anext(self._said, None)
        return b"" if chunk is None else b"data: %s\n\n" % json.dumps(chunk).encode()

    def exception(self) -> None:
        return None

    def at_eof(self) -> bool:
        return False

    def close(self) -> None:
        self._sent.ended = now() if self._sent.ended is None else self._sent.ended


class ScriptedUpstream(Upstream):
    """The engine's upstream, up to its seam with the HTTP client."""

    def __init__(self, world: World, calls: list[Seen]) -> None:
        super().__init__(world.config)
        self._world = world
        self._calls = calls
        self._serials: dict[str, int] = defaultdict(int)

    async def _send(self, attempt: Attempt, body: Json) -> Any:
        model = attempt.model.name
        serial = self._serials[model]
        self._serials[model] += 1
        behaviours = self._world.models[model]
        request = ScriptedRequest(attempt, behaviours[min(serial, len(behaviours) - 1)], serial, self._calls)
        return await request.send(body)


class WatchedAsking:
    """Notes the racers of a call: also the skipped ones, which no upstream sees."""

    def __init__(self, asking: Asking, racers: list[Racer]) -> None:
        self._asking = asking
        self._racers = racers
        self.lose = asking.lose

    async def ask(self, model: ModelRef, race: Race) -> Success:
        racer = Racer(model.name, race, now())
        self._racers.append(racer)
        try:
            racer.success = await self._asking.ask(model, race)
        except BaseException as error:
            racer.error = error
            raise
        finally:
            racer.ended = now()
        return racer.success


class WatchedCall(Call):
    """A call whose racers are noted."""

    def watch(self, racers: list[Racer]) -> None:
        """Must be called before the call's task has taken its first step."""
        self._asking = WatchedAsking(self._asking, racers)  # type: ignore[assignment]


class WatchedBreakers(CircuitBreakers):
    """Counts the trials of each model that are under way. When a breaker closes, what was its trial is one no more."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.permits: list[Permit] = []
        self.trials: dict[ModelRef, list[Permit]] = defaultdict(list)
        self.most_trials = 0

    def admit(self, model: ModelRef) -> Permit | None:
        permit = super().admit(model)
        if permit is not None and permit.is_trial:
            self.permits.append(permit)
            self.trials[model].append(permit)
            self.most_trials = max(self.most_trials, len(self.trials[model]))
        return permit

    def succeeded(self, permit: Permit) -> None:
        self._verdict(permit)
        self.trials[permit.model].clear()
        super().succeeded(permit)

    def failed(self, permit: Permit, *, retry_after: float | None = None) -> None:
        self._verdict(permit)
        super().failed(permit, retry_after=retry_after)

    def released(self, permit: Permit) -> None:
        self._verdict(permit)
        super().released(permit)

    def _verdict(self, permit: Permit) -> None:
        """A trial has exactly one."""
        if permit.is_trial:
            self.permits = _without(self.permits, permit)
            self.trials[permit.model] = [trial for trial in self.trials[permit.model] if trial is not permit]


def _without(permits: list[Permit], permit: Permit) -> list[Permit]:
    left = [one for one in permits if one is not permit]
    assert len(left) == len(permits) - 1, "a second verdict on one trial"
    return left


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
    context = EngineContext(
        config=config,
        upstream=ScriptedUpstream(world, calls),
        prices=PRICES,
        breakers=breakers,
        hedges=hedges,
        refused=RefusedParameters(),
    )
    await asyncio.gather(*(_one_call(context, seen, name=str(number)) for number, seen in enumerate(calls)))
    assert not breakers.permits, "a trial ended without a verdict"
    await asyncio.sleep(NEVER)
    assert all(breakers.would_admit(model) for model in breakers.states()), "a breaker never closes again"
    return History(calls, breakers.most_trials, hedges.grants, hedges.calls)


async def _one_call(context: EngineContext, seen: Seen, *, name: str) -> None:
    """`name` goes with the request, so that the upstream can tell whose it is."""
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
        body={"messages": [{"role": "user", "content": name}], "temperature": 0.5, "max_tokens": 9},
        stream=caller.stream,
        timeout=caller.timeout,
        hedge_after=caller.hedge_after,
        default_message=caller.default_message,
    )
    seen.started = now()
    seen.deadline = now() + (context.config.request_timeout if caller.timeout is None else caller.timeout)
    call = WatchedCall(context, request, on_end)
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


# Random worlds


def seconds(low: float, high: float) -> st.SearchStrategy[float]:
    """On a grid, so that things do happen in the same instant."""
    return st.integers(round(low * 8), round(high * 8)).map(lambda eighths: eighths / 8)


def _below(kind: type[UpstreamError]) -> Iterator[type[UpstreamError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


KINDS = sorted(set(_below(UpstreamError)) - {ModelSkipped}, key=lambda kind: kind.code)
NAMES = ["m0", "m1", "m2", "m3"]

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
goings = st.builds(Gone, at=seconds(0, 4), ticks=st.integers(0, 14), times=st.integers(1, 2))
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
worlds = st.builds(World, models=models, callers=st.lists(callers, min_size=1, max_size=3), config=configs)

# Models that hardly ever answer, and callers with patience.
troubles = st.builds(
    World,
    models=st.fixed_dictionaries(
        {
            name: st.lists(
                st.builds(
                    Behaviour,
                    before=seconds(0, 1),
                    fault=st.builds(
                        Fault,
                        kind=st.sampled_from([errors.UpstreamRateLimited, errors.UpstreamFailed, *KINDS]),
                        retry_after=st.none() | seconds(0, 4),
                    ),
                ),
                min_size=1,
                max_size=3,
            )
            for name in NAMES[:3]
        }
    ),
    callers=st.lists(
        st.builds(
            Caller,
            route=st.sampled_from(["m0", "m0|m1", "m0>m1", "m0>m1|m2", "m0|m1|m2"]),
            stream=st.booleans(),
            timeout=st.none() | seconds(1, 20),
            hedge_after=st.sampled_from([0.0, 0.5]),
        ),
        min_size=1,
        max_size=2,
    ),
    config=st.builds(replace, configs, max_retries=st.integers(1, 3), breaker_failures=st.sampled_from([2, 100])),
)

# Many calls of few models, so that they meet at breakers that open at once and at the budget for hedges.
crowds = st.builds(
    World,
    models=st.fixed_dictionaries({name: st.lists(behaviours, min_size=1, max_size=4) for name in NAMES[:2]}),
    callers=st.lists(
        st.builds(
            Caller,
            route=st.sampled_from(["m0", "m0", "m0|m1", "m1>m0", "m1|m0"]),
            stream=st.booleans(),
            starts=st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0]),
            timeout=st.none() | seconds(1, 6),
            hedge_after=st.sampled_from([0.0, 0.125, 0.5]),
            gone=st.none() | goings,
        ),
        min_size=2,
        max_size=6,
    ),
    config=st.builds(replace, configs, breaker_failures=st.integers(1, 2), breaker_cooldown=seconds(0.125, 1)),
)


def holds_in(every: st.SearchStrategy[World]) -> Callable[[Callable[[World], None]], Callable[[], None]]:
    return lambda prop: PROFILE(given(world=every)(prop))


# The properties


@holds_in(worlds)
def test_every_call_has_exactly_one_outcome_and_its_caller_is_told_that_one(world: World) -> None:
    for seen in play(world).calls:
        assert len(seen.outcomes) == 1
        if seen.caller.gone is None:
            assert seen.was_told is seen.outcome
            assert seen.outcome.status is not CallStatus.CANCELLED


@holds_in(worlds)
def test_every_request_that_was_sent_is_on_record_in_the_order_of_its_start(world: World) -> None:
    for seen in play(world).calls:
        records = seen.outcome.attempts
        assert [record.ordinal for record in records] == list(range(len(records)))
        ran = [record for record in records if record.status is not AttemptStatus.SKIPPED]
        assert [record.model for record in ran] == [sent.model for sent in seen.sent]
        for record, sent in zip(ran, seen.sent, strict=True):
            assert record.started_after_ms == round((sent.started - seen.started) * 1000)


@holds_in(worlds)
def test_one_attempt_has_succeeded_if_the_call_has_and_otherwise_none(world: World) -> None:
    for seen in play(world).calls:
        succeeded = [a for a in seen.outcome.attempts if a.status is AttemptStatus.SUCCEEDED]
        assert len(succeeded) == (seen.outcome.status is CallStatus.SUCCEEDED)


@holds_in(worlds)
def test_nothing_is_running_when_the_outcome_is_known(world: World) -> None:
    for seen in play(world).calls:
        assert seen.racing_at_end == 0
        assert seen.open_at_end == 0
        assert all(sent.ended is not None and sent.ended <= seen.ended for sent in seen.sent)


@holds_in(worlds | troubles)
def test_the_deadline_bounds_everything(world: World) -> None:
    for seen in play(world).calls:
        assert all(racer.started <= seen.deadline for racer in seen.racers)
        assert all(racer.ended is not None and racer.ended <= seen.deadline for racer in seen.racers)
        if not seen.caller.stream or seen.caller.timeout is not None:
            assert seen.ended <= seen.deadline


@holds_in(worlds)
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
            assert seen.text == seen.outcome.content or not seen.drained


@holds_in(worlds)
def test_the_model_that_is_named_is_the_one_whose_text_it_is(world: World) -> None:
    for seen in play(world).calls:
        if seen.outcome.content and seen.outcome.status is not CallStatus.DEFAULTED:
            assert seen.outcome.content.startswith(f"[{seen.outcome.model_used}#")


@holds_in(worlds)
def test_a_stage_starts_after_every_racer_of_the_one_before_has_ended(world: World) -> None:
    for seen in play(world).calls:
        races = seen.races()
        for earlier, later in pairwise(races):
            assert later[0].race.stage in (earlier[0].race.stage, earlier[0].race.stage + 1)
            assert all(isinstance(racer.error, UpstreamError) for racer in earlier)
            assert max(racer.ended or 0.0 for racer in earlier) <= min(racer.started for racer in later)


@holds_in(worlds | troubles)
def test_only_the_last_stage_is_retried_and_no_model_before_it_allows_it(world: World) -> None:
    for seen in play(world).calls:
        races = seen.races()
        last = seen.caller.route.count(">")
        numbers = [race[0].race.stage for race in races]
        assert all(numbers.count(stage) == 1 for stage in numbers if stage < last)
        asked = [race for race in races if not all(isinstance(racer.error, ModelSkipped) for racer in race)]
        assert [race[0].race.stage for race in asked].count(last) <= 1 + world.config.max_retries
        of_last = [race for race in races if race[0].race.stage == last]
        for number, later in enumerate(of_last[1:], start=1):
            for retry in later:
                # Not always of the retry before: a racer that asked for a long wait sits some retries out.
                *_, failed = [racer for race in of_last[:number] for racer in race if racer.model == retry.model]
                assert isinstance(failed.error, UpstreamError) and failed.error.retryable
                assert retry.started >= (failed.ended or 0.0) + (failed.error.retry_after or 0.0) - NOISE


@holds_in(worlds)
def test_a_request_that_is_wrong_is_not_sent_to_another_stage_and_not_sent_again(world: World) -> None:
    for seen in play(world).calls:
        for race in seen.races()[:-1]:
            assert not any(isinstance(racer.error, InvalidRequest) for racer in race)
        if any(isinstance(racer.error, InvalidRequest) for racer in seen.racers):
            assert seen.outcome.status is not CallStatus.DEFAULTED


@holds_in(crowds)
def test_a_half_open_breaker_lets_one_trial_through_at_a_time(world: World) -> None:
    assert play(world).most_trials <= 1


@holds_in(crowds)
def test_a_call_that_failed_has_asked_at_least_one_model(world: World) -> None:
    calls = play(world).calls
    for seen in calls:
        if seen.outcome.status in (CallStatus.FAILED, CallStatus.DEFAULTED):
            assert seen.sent, "the caller is told that it failed, and no one was asked"


@holds_in(worlds)
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


@holds_in(worlds | crowds)
def test_a_hedge_starts_after_its_delay_or_a_failure_and_within_the_budget(world: World) -> None:
    history = play(world)
    hedges = 0
    for seen in history.calls:
        for race in seen.races() if seen.caller.hedge_after else ():
            failures = [racer.ended or 0.0 for racer in race if isinstance(racer.error, UpstreamError)]
            for earlier, racer in pairwise(race):
                waited = racer.started >= earlier.started + seen.caller.hedge_after
                assert waited or any(earlier.started <= failure <= racer.started for failure in failures)
            hedges += max(0, len(race) - 1 - len(failures))
    assert hedges <= len(history.grants)
    for i, moment in enumerate(history.grants):
        recent = [grant for grant in history.grants[: i + 1] if grant >= moment - WINDOW_SECONDS]
        calls = [start for start in history.hedging_calls if moment - WINDOW_SECONDS <= start <= moment]
        assert world.config.hedge_budget > 0
        assert len(recent) <= max(1, math.ceil(world.config.hedge_budget * len(calls)))


@PROFILE
@given(
    models=st.fixed_dictionaries({name: st.lists(behaviours, min_size=1, max_size=1) for name in NAMES}),
    route=st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True), min_size=1, max_size=4),
    stream=st.booleans(),
    timeout=seconds(0.125, 12),
)
def test_a_call_takes_as_long_as_its_schedule_implies(
    models: dict[str, list[Behaviour]], route: list[list[str]], stream: bool, timeout: float
) -> None:
    """No hedges, no retries, no breakers, no adaptation: then the schedule alone says when a call ends, and how."""
    assume(not any(b.fault and b.fault.kind is UnsupportedParameter for [b] in models.values()))
    config = EngineConfig(
        providers=PROVIDERS,
        max_retries=0,
        breaker_failures=10_000,
        first_token_timeout=NEVER,
        stream_idle_timeout=NEVER,
    )
    caller = Caller(">".join(map("|".join, route)), stream=stream, timeout=timeout)
    [seen] = play(World(models, [caller], config)).calls
    expected, succeeds = _schedule([[models[name][0] for name in stage] for stage in route], stream)
    if expected < timeout or (expected == timeout and not succeeds):
        assert seen.ended - seen.started == expected
        assert (seen.outcome.status is CallStatus.SUCCEEDED) == succeeds
        assert seen.outcome.latency_ms == round(expected * 1000)
    else:
        assert seen.ended - seen.started == timeout


def _schedule(route: list[list[Behaviour]], stream: bool) -> tuple[float, bool]:
    """Seconds until the call ends, and whether it succeeds."""
    elapsed = 0.0
    for stage in route:
        ends = [_end(behaviour, stream=stream) for behaviour in stage]
        first = min((end for end, good in ends if good), default=None)
        if first is not None:
            if not stream:
                return elapsed + first, True
            # Of the streams that open in the same instant any may win: only if they end alike, the end is known.
            opened = [b for b, (end, good) in zip(stage, ends, strict=True) if good and end == first]
            [(ended, whole), *others] = {_end(behaviour, stream=False) for behaviour in opened}
            assume(not others)
            return elapsed + ended, whole
        elapsed += max(end for end, _ in ends)
        if elapsed >= NEVER or any(
            b.fault and isinstance(b.fault.kind, type) and not b.fault.kind.try_next_stage for b in stage
        ):
            return elapsed, False
    return elapsed, False


def _end(behaviour: Behaviour, *, stream: bool) -> tuple[float, bool]:
    """When one racer has succeeded or failed. A stream has succeeded with its first content."""
    if stream and behaviour.said:
        return behaviour.first_after, True
    stalled = behaviour.fault is not None and behaviour.fault.kind == "stalled"
    return NEVER if stalled else behaviour.whole_after, behaviour.fault is None


# Defects that these properties have found, as small as they get

OK = Behaviour(before=1.0)
BAD = Behaviour(before=0.5, fault=Fault(errors.UpstreamFailed))
ONE_FAILURE_OPENS = EngineConfig(providers=PROVIDERS, max_retries=0, breaker_failures=1, breaker_cooldown=1.0)


def config(**options: Any) -> EngineConfig:
    return replace(ONE_FAILURE_OPENS, breaker_failures=100, **options)


def test_a_call_that_is_cancelled_before_it_has_begun_has_an_outcome() -> None:
    [seen] = play(World({"m0": [OK]}, [Caller("m0", gone=Gone(at=0.0, ticks=0, times=1))], config())).calls
    assert seen.outcome.status is CallStatus.CANCELLED


def test_a_call_that_is_cancelled_twice_has_an_outcome() -> None:
    models = {"m0": [Behaviour(gap=9.0)], "m1": [Behaviour(gap=9.0)]}
    [seen] = play(World(models, [Caller("m0|m1", gone=Gone(at=0.5, ticks=0, times=2))], config())).calls
    assert seen.outcome.status is CallStatus.CANCELLED


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_cancelled_as_its_race_is_won_has_an_outcome(stream: bool) -> None:
    """Whatever turn of the loop it is in which the caller goes."""
    models = {"m0": [OK], "m1": [Behaviour(before=9.0)]}
    for ticks in range(20):
        caller = Caller("m0|m1", stream=stream, gone=Gone(at=1.0, ticks=ticks, times=1))
        [seen] = play(World(models, [caller], config())).calls
        assert len(seen.outcomes) == 1
        assert seen.open_at_end == 0


def test_a_stream_that_breaks_names_the_model_that_was_streaming_and_not_a_loser_of_its_race() -> None:
    breaks = Behaviour(before=1.0, pieces=2, fault=Fault("cut"), good=1)
    models = {"m0": [breaks], "m1": [Behaviour(before=9.0)]}
    [seen] = play(World(models, [Caller("m0|m1", stream=True)], config())).calls
    assert seen.text == "[m0#0:0]"
    assert seen.outcome.model_used == "m0"


def test_calls_that_meet_at_a_half_open_breaker_in_the_same_instant_are_all_tried_on_the_last_stage() -> None:
    callers = [Caller("m0"), Caller("m0", starts=2.0), Caller("m0", starts=2.0)]
    history = play(World({"m0": [BAD, OK]}, callers, ONE_FAILURE_OPENS))
    assert [len(seen.sent) for seen in history.calls] == [1, 1, 1]


def test_the_verdict_on_a_trial_of_an_earlier_half_open_period_lets_no_second_trial_through() -> None:
    """The first trial is slow; meanwhile a forced call closes the breaker, and another opens it again."""
    long_trial = Behaviour(before=9.0)
    script = [BAD, long_trial, Behaviour(before=0.25), Behaviour(before=0.0, fault=BAD.fault), long_trial, long_trial]
    callers = [
        Caller("m0"),  # fails at 0.5: open until 1.5
        Caller("m0", starts=1.5, gone=Gone(at=3.0, ticks=0, times=1)),  # the first trial, released at 4.5
        Caller("m0", starts=2.0),  # forced; closes it at 2.25
        Caller("m0", starts=2.5),  # opens it again at 2.5, until 3.5
        Caller("m0", starts=3.5),  # the second trial, until 12.5
        Caller("m0", starts=5.0),  # must be forced, and is no trial
    ]
    assert play(World({"m0": script}, callers, ONE_FAILURE_OPENS)).most_trials == 1
