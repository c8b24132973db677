"""Defects that the properties in test_properties.py have found, each in the smallest world that shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llm import CallStatus, errors
from llm.config import EngineConfig
from tests.llm.worlds.playing import play
from tests.llm.worlds.world import PROVIDERS, Behaviour, Caller, Fault, Gone, World

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
        assert not seen.open_at_end


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
