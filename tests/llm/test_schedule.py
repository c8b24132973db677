"""How long a call takes and how it ends, in random worlds where the schedule of the upstreams alone decides that."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from llm import CallStatus
from llm.config import EngineConfig
from llm.errors import UnsupportedParameter
from tests.llm.worlds.playing import play
from tests.llm.worlds.random_worlds import NAMES, PRICED, behaviours, seconds
from tests.llm.worlds.world import NEVER, PROVIDERS, Behaviour, Caller, World


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
        prices=PRICED,
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
