"""The walk by itself, with scripted attempts and a virtual clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from llm import ModelRef
from llm.errors import InvalidRequest, ModelSkipped, UpstreamError, UpstreamFailed, UpstreamRateLimited
from llm.routing.notation import parse_route
from llm.routing.retry import RetryPolicy
from llm.routing.walk import Race, Walk
from tests.support.virtual_time import virtual_time

# How an attempt ends: with a text, or with an exception that it raises.
Answers = str | Exception

FAILED = UpstreamFailed("500")


@dataclass
class Track:
    """Runs walks over scripted models and notes what happened when. `script` has each model's attempts in order."""

    script: dict[str, list[tuple[float, Answers]]]
    hedges: int = 100
    open_breakers: frozenset[str] = frozenset()
    seconds_to_end: float = 0.0  # how long a racer takes to end after it is cancelled
    started: list[tuple[float, str]] = field(default_factory=list)
    cancelled: list[tuple[float, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    races: list[Race] = field(default_factory=list)
    running: int = 0

    async def walk(
        self, route: str, *, deadline: float = 100.0, hedge_after: float = 0.0, max_retries: int = 0, base: float = 0.0
    ) -> str:
        walk: Walk[str] = Walk(
            attempt=self._attempt,
            lost=self._lost,
            deadline=deadline,
            hedge_after=hedge_after,
            may_hedge=self._may_hedge,
            may_ask=lambda model: model.name not in self.open_breakers,
            retries=RetryPolicy(max_retries=max_retries, base=base, cap=8.0),
        )
        try:
            return await walk.run(parse_route(route, providers=["p"], default_provider="p"))
        finally:
            assert self.running == 0, "an attempt outlived its walk"

    async def _attempt(self, model: ModelRef, race: Race) -> str:
        self.started.append((now(), model.name))
        self.races.append(race)
        seconds, answer = self.script[model.name].pop(0)
        self.running += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append((now(), model.name))
            await asyncio.sleep(self.seconds_to_end)
            raise
        finally:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _lost(self, answer: str) -> None:
        self.lost.append(answer)

    def _may_hedge(self) -> bool:
        self.hedges -= 1
        return self.hedges >= 0


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_when_every_model_of_the_last_stage_fails_the_caller_gets_the_last_error() -> None:
    last = UpstreamFailed("503")
    track = Track({"a": [(1, FAILED)], "b": [(3, last)], "c": [(2, FAILED)]})
    with pytest.raises(UpstreamError) as raised:
        await track.walk("a>b|c")
    assert raised.value is last
    assert now() == 4


@virtual_time
async def test_an_error_that_no_model_would_survive_ends_the_walk_and_is_what_the_caller_gets() -> None:
    refused = InvalidRequest("400")
    track = Track({"a": [(1, refused)], "b": [(2, FAILED)], "c": [(0, "never asked")]})
    with pytest.raises(InvalidRequest) as raised:
        await track.walk("a|b>c", max_retries=2)
    assert raised.value is refused
    assert track.started == [(0, "a"), (0, "b")]


@virtual_time
async def test_a_skipped_model_is_not_what_the_caller_is_told_about_if_another_was_tried() -> None:
    track = Track({"a": [(1, FAILED)], "b": [(2, ModelSkipped("open"))]})
    with pytest.raises(UpstreamFailed):
        await track.walk("a|b")


@virtual_time
async def test_the_first_success_of_a_race_wins_and_the_others_are_cancelled_at_once() -> None:
    track = Track({"slow": [(9, "late")], "fast": [(2, "first")], "broken": [(1, FAILED)]})
    assert await track.walk("slow|fast|broken") == "first"
    assert now() == 2
    assert track.cancelled == [(2, "slow")]
    assert track.lost == []


@virtual_time
async def test_two_successes_in_the_same_instant_are_one_winner_and_one_lost() -> None:
    track = Track({"a": [(2, "from a")], "b": [(2, "from b")]})
    winner = await track.walk("a|b")
    assert {winner, *track.lost} == {"from a", "from b"}
    assert len(track.lost) == 1


@virtual_time
async def test_the_next_stage_starts_when_the_last_racer_of_the_one_before_has_failed() -> None:
    track = Track({"a": [(1, FAILED)], "b": [(3, FAILED)], "c": [(1, "fallback")]})
    assert await track.walk("a|b>c") == "fallback"
    assert track.started == [(0, "a"), (0, "b"), (3, "c")]
    assert [race.stage for race in track.races] == [0, 0, 1]


@virtual_time
async def test_no_stage_starts_when_the_deadline_has_come() -> None:
    track = Track({"a": [(5, FAILED)], "b": [(0, "too late")]})
    with pytest.raises(UpstreamFailed):
        await track.walk("a>b", deadline=5)
    assert track.started == [(0, "a")]


@virtual_time
async def test_a_hedge_starts_when_the_first_racer_is_slow_and_may_win() -> None:
    track = Track({"a": [(9, "slow")], "b": [(1, "hedge")], "c": [(0, "not needed")]})
    assert await track.walk("a|b|c", hedge_after=2) == "hedge"
    assert track.started == [(0, "a"), (2, "b")]
    assert now() == 3


@virtual_time
async def test_a_racer_that_fails_is_replaced_at_once_and_that_is_no_hedge() -> None:
    track = Track({"a": [(1, FAILED)], "b": [(1, "second")]}, hedges=0)
    assert await track.walk("a|b", hedge_after=5) == "second"
    assert track.started == [(0, "a"), (1, "b")]


@virtual_time
async def test_without_a_budget_for_hedges_the_next_racer_waits_for_a_failure() -> None:
    track = Track({"a": [(7, FAILED)], "b": [(1, "second")]}, hedges=0)
    assert await track.walk("a|b", hedge_after=2) == "second"
    assert track.started == [(0, "a"), (7, "b")]


@virtual_time
async def test_only_the_last_stage_is_retried_and_only_the_models_that_a_retry_may_help() -> None:
    refused = UpstreamError("for good")
    track = Track({"a": [(1, FAILED)], "b": [(1, FAILED), (1, "at last")], "c": [(1, refused)]})
    assert await track.walk("a>b|c", max_retries=2) == "at last"
    assert track.started == [(0, "a"), (1, "b"), (1, "c"), (2, "b")]


@virtual_time
async def test_a_retry_waits_as_long_as_the_upstream_asked() -> None:
    limited = UpstreamRateLimited("429", retry_after=30.0)
    track = Track({"a": [(1, limited), (1, "at last")]})
    assert await track.walk("a", max_retries=1) == "at last"
    assert track.started == [(0, "a"), (31, "a")]


@virtual_time
async def test_a_retry_that_does_not_fit_in_the_deadline_is_not_waited_for() -> None:
    track = Track({"a": [(1, UpstreamRateLimited("429", retry_after=30.0))]})
    with pytest.raises(UpstreamRateLimited):
        await track.walk("a", max_retries=1, deadline=31)
    assert now() == 1


@virtual_time
async def test_retries_end_after_the_most_that_are_allowed() -> None:
    track = Track({"a": [(1, FAILED)] * 9})
    with pytest.raises(UpstreamFailed):
        await track.walk("a", max_retries=2)
    assert len(track.started) == 3


@virtual_time
async def test_the_last_stage_is_forced_only_if_the_breakers_of_all_its_models_are_open() -> None:
    track = Track({"a": [(1, FAILED)], "b": [(1, "tried all the same")]}, open_breakers=frozenset("ab"))
    await track.walk("a>b")
    assert [race.forced for race in track.races] == [False, True]
    track = Track({"a": [(1, "closed")], "b": [(2, "open")]}, open_breakers=frozenset("b"))
    await track.walk("a|b")
    assert [race.forced for race in track.races] == [False, False]


@virtual_time
async def test_a_cancelled_walk_cancels_every_racer_and_waits_for_it() -> None:
    track = Track({"a": [(9, "never")], "b": [(9, "never")]})
    walk = asyncio.create_task(track.walk("a|b"))
    await asyncio.sleep(3)
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk
    assert sorted(track.cancelled) == [(3, "a"), (3, "b")]


@virtual_time
async def test_a_cancelled_walk_that_was_waiting_to_retry_ends_at_once() -> None:
    track = Track({"a": [(1, UpstreamRateLimited("429", retry_after=30.0))]})
    walk = asyncio.create_task(track.walk("a", max_retries=1))
    await asyncio.sleep(5)
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk
    assert now() == 5


@virtual_time
async def test_a_success_in_the_instant_of_the_cancellation_is_given_back_as_lost() -> None:
    track = Track({"a": [(3, "unwanted")], "b": [(9, "never")]})
    walk = asyncio.create_task(track.walk("a|b"))
    await asyncio.sleep(3)
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk
    assert track.lost == ["unwanted"]


@virtual_time
async def test_a_lone_attempt_is_told_of_a_cancellation_itself() -> None:
    """It runs in the walk's own task, so there is nothing to give back."""
    track = Track({"a": [(3, "unwanted")]})
    walk = asyncio.create_task(track.walk("a"))
    await asyncio.sleep(1)
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk
    assert (track.lost, track.cancelled) == ([], [(1, "a")])


@virtual_time
async def test_a_defect_in_an_attempt_is_no_failure_of_a_model_and_leaves_nothing_running() -> None:
    track = Track({"a": [(1, KeyError("a defect"))], "b": [(9, "never")], "c": [(0, "never")]})
    with pytest.raises(KeyError, match="a defect"):
        await track.walk("a|b>c", max_retries=2)
    assert track.cancelled == [(1, "b")]
    assert track.started == [(0, "a"), (0, "b")]


@virtual_time
async def test_a_success_in_the_instant_of_a_defect_is_given_back_as_lost() -> None:
    track = Track({"a": [(1, KeyError("a defect"))], "b": [(1, "unwanted")]})
    with pytest.raises(KeyError):
        await track.walk("a|b")
    assert track.lost == ["unwanted"]


@virtual_time
async def test_a_winner_is_given_back_as_lost_if_the_walk_is_cancelled_while_the_losers_end() -> None:
    track = Track({"a": [(1, "winner")], "b": [(9, "never")]}, seconds_to_end=2.0)
    walk = asyncio.create_task(track.walk("a|b"))
    await asyncio.sleep(2)
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk
    assert track.lost == ["winner"]


@virtual_time
async def test_a_walk_that_is_cancelled_twice_still_waits_for_its_racers() -> None:
    track = Track({"a": [(9, "never")], "b": [(9, "never")]}, seconds_to_end=2.0)
    walk = asyncio.create_task(track.walk("a|b"))
    await asyncio.sleep(1)
    walk.cancel()
    await asyncio.sleep(1)
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk
    assert now() == 3
