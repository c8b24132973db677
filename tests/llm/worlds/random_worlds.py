"""Hypothesis strategies for worlds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from hypothesis import strategies as st

from llm import errors
from llm.config import EngineConfig, ModelPrice
from llm.errors import ModelSkipped, UpstreamError
from tests.llm.worlds.world import PROVIDERS, Behaviour, Caller, Fault, Gone, World


def seconds(low: float, high: float) -> st.SearchStrategy[float]:
    """On a grid, so that things do happen in the same instant."""
    return st.integers(round(low * 8), round(high * 8)).map(lambda eighths: eighths / 8)


def _below(kind: type[UpstreamError]) -> Iterator[type[UpstreamError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


KINDS = sorted(set(_below(UpstreamError)) - {ModelSkipped}, key=lambda kind: kind.code)
NAMES = ["m0", "m1", "m2", "m3"]

PRICED = {name: ModelPrice(Decimal(1), Decimal(2)) for name in NAMES}

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
whos = st.sampled_from(["a", "a", "b"])
callers = st.builds(
    Caller,
    route=routes,
    who=whos,
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
    prices=st.sampled_from([{}, {"m0": PRICED["m0"], "m2": PRICED["m2"]}, PRICED]),
    read_on_seconds=seconds(0, 4),
    read_on_calls=st.sampled_from([0, 1, 2, 100]),
    fetch_as_streams=st.sampled_from([frozenset(), frozenset(), frozenset(PROVIDERS)]),
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
            who=whos,
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
