"""What holds for every call, whatever the route, the upstreams and the callers do: properties over random worlds.

The engine's own Call, Walk, Upstream, breakers and budget run on an injected clock; only the HTTP client is scripted.
How many worlds are tried for each property is in tests/conftest.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llm import AttemptRecord, AttemptStatus, CallStatus, errors
from llm.errors import InvalidRequest, ModelSkipped, UpstreamError
from llm.routing.hedging import WINDOW_SECONDS
from tests.llm.worlds.history import Seen, Sent
from tests.llm.worlds.playing import play
from tests.llm.worlds.random_worlds import crowds, troubles, worlds
from tests.llm.worlds.world import World

# Times are multiples of 1/8 s, which floats add up exactly. Only the jitter of a retry is not exact.
NOISE = 1e-6


def holds_in(every: st.SearchStrategy[World]) -> Callable[[Callable[[World], None]], Callable[[], None]]:
    return given(world=every)


def requests(seen: Seen) -> list[tuple[Sent, AttemptRecord]]:
    """Each request that was sent, as the upstream and the record saw it."""
    ran = [record for record in seen.outcome.attempts if record.status is not AttemptStatus.SKIPPED]
    return list(zip(seen.sent, ran, strict=True))


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
        read_on = [sent for sent, record in requests(seen) if record.read_on]
        assert all(sent in read_on for sent in seen.open_at_end)
        for sent in seen.sent:
            assert sent.ended is not None and (sent.ended <= seen.ended or sent in read_on)


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
        for outcome in (seen.outcome, *(late_end.outcome for late_end in seen.late_ends)):
            if outcome.content and outcome.status is not CallStatus.DEFAULTED:
                assert outcome.content.startswith(f"[{outcome.model_used}#")


@holds_in(worlds | crowds)
def test_a_whole_answer_of_a_model_with_a_price_is_read_on_within_its_bounds_and_nothing_else_is(world: World) -> None:
    history = play(world)
    config = world.config
    assert history.most_read_on <= (config.read_on_calls if config.read_on_seconds else 0)
    for seen in history.calls:
        for sent, record in requests(seen):
            # A record has whole milliseconds, so it may be half of one off.
            given_up_at = sent.started + (record.latency_ms or 0) / 1000 + 0.001
            if not record.read_on:
                assert sent.ended is not None and sent.ended <= given_up_at
                continue
            if sent.ended is not None and sent.ended <= given_up_at:
                continue  # it came in the same instant in which nobody waited any more
            assert record.model in config.prices
            assert not seen.caller.stream and sent.race.size == 1 and not config.fetch_as_streams
            assert sent.ended is not None and sent.ended <= given_up_at + config.read_on_seconds


@holds_in(worlds | crowds)
def test_a_call_of_which_something_is_read_on_has_exactly_one_late_end_with_the_true_usage(world: World) -> None:
    for seen in play(world).calls:
        assert len(seen.late_ends) == seen.outcome.reading_on
        for late_end in seen.late_ends:
            late, first = late_end.outcome, seen.outcome
            assert (late.status, late.error, late.latency_ms) == (first.status, first.error, first.latency_ms)
            for record, before in zip(late.attempts, first.attempts, strict=True):
                assert (record.status, record.latency_ms) == (before.status, before.latency_ms)
                assert record.usage == before.usage or record.read_on
            answered = [a for a in late.attempts if a.read_on and a.usage and not a.usage.estimated]
            if late_end.answer is None:
                # An answer that turned out to be empty has its true usage, and is no answer.
                empty = any(behaviour.is_empty for model in world.models.values() for behaviour in model)
                assert not answered or empty or first.status in (CallStatus.SUCCEEDED, CallStatus.DEFAULTED)
            else:
                assert first.status in (CallStatus.FAILED, CallStatus.CANCELLED)
                assert late_end.answer.content == late.content in [sent.text for sent in seen.sent]
                assert late_end.answer.usage == answered[0].usage


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
        if seen.outcome.status is CallStatus.SUCCEEDED and not successes:
            # Every racer failed, and the caller got an answer that was given up, or one that is empty.
            [given] = [a.ordinal for a in seen.outcome.attempts if a.status is AttemptStatus.SUCCEEDED]
            empty = any(isinstance(racer.error, errors.EmptyAnswer) for racer in seen.racers)
            assert seen.outcome.attempts[given].read_on or empty
        elif seen.outcome.status is CallStatus.SUCCEEDED:
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
