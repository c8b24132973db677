"""Making the outcome of a call: the records of its attempts, what was said and by whom, its tokens and its cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import TypedDict

from llm.calls.progress import Progress
from llm.calls.request import CallOutcome, CallRequest, CallStatus, CostSoFar, LateEnd
from llm.costs.pricing import PriceList
from llm.costs.usage import Usage
from llm.errors import UpstreamError
from llm.json_values import Json
from llm.upstream.attempt import Attempt
from llm.upstream.attempt_record import AttemptRecord
from llm.upstream.guesses import Guesses

# The ends of a call whose caller has got no answer.
WITHOUT_ANSWER = frozenset({CallStatus.FAILED, CallStatus.CANCELLED})


def make_outcome(
    status: CallStatus,
    request: CallRequest,
    progress: Progress,
    *,
    prices: PriceList,
    guesses: Guesses,
    now: float,
    winner: Attempt | None = None,
    completion: Json | None = None,
    error: UpstreamError | None = None,
    stopped: bool = False,
) -> CallOutcome:
    """The outcome of a call that has ended at `now`, by the event loop's clock. Each of its attempts has ended.

    `winner` is the attempt whose answer the caller got, and `completion` is that answer, or the default message.
    """
    operation = request.operation
    relayed = progress.relayed
    attempts = _records(progress, prices, guesses)
    # A stream that did not get to its end is an answer too, as far as it was passed on.
    answered = winner or relayed
    used = None if status is CallStatus.DEFAULTED else answered
    said = completion or (relayed and relayed.answer) or {}
    if status in WITHOUT_ANSWER and answered is None and not request.stream:
        used = _furthest(progress.attempts)
        said = (used and used.answer) or {}
    answer = None if status is CallStatus.DEFAULTED else said or None
    return CallOutcome(
        status=status,
        attempts=attempts,
        latency_ms=round((now - progress.started) * 1000),
        content=operation.text(said),
        completion=completion,
        answer=answer,
        completion_id=operation.answer_id(answer) if answer else "",
        model_used=used.model.name if used else "",
        provider_used=used.provider.name if used else "",
        finish_reason=operation.finish_reason(said) if said else "",
        time_to_first_token_ms=answered.first_token_after(progress.started) if answered else None,
        usage=attempts[answered.ordinal].usage if answered else _sum_usage(attempts),
        service_tier=attempts[answered.ordinal].service_tier if answered else "",
        **_costs(attempts),
        fallback_triggered=progress.stage_reached > 0 or status is CallStatus.DEFAULTED,
        error=error,
        begun=relayed is not None,
        stopped=stopped,
        reading_on=_is_read_on(status, progress),
    )


def make_late_end(
    outcome: CallOutcome, request: CallRequest, progress: Progress, *, prices: PriceList, guesses: Guesses
) -> LateEnd:
    """How a call with this outcome went in the end. Nothing of it is read on any more."""
    attempts = _records(progress, prices, guesses)
    outcome = replace(outcome, attempts=attempts, **_costs(attempts), reading_on=False)
    if outcome.status is not CallStatus.SUCCEEDED:  # otherwise it has the usage of the attempt that succeeded
        outcome = replace(outcome, usage=_sum_usage(attempts))
    late = late_answer(progress)
    if late is None or outcome.status not in WITHOUT_ANSWER:
        return LateEnd(outcome, None)
    attempt, answer = late
    operation = request.operation
    outcome = replace(
        outcome,
        content=operation.text(answer),
        completion=answer,
        answer=answer,
        completion_id=operation.answer_id(answer),
        model_used=attempt.model.name,
        provider_used=attempt.provider.name,
        finish_reason=operation.finish_reason(answer),
        service_tier=attempts[attempt.ordinal].service_tier,
    )
    usage = attempts[attempt.ordinal].usage
    return LateEnd(outcome, replace(outcome, status=CallStatus.SUCCEEDED, usage=usage, error=None, stopped=False))


def cost_so_far(progress: Progress, *, prices: PriceList, guesses: Guesses) -> CostSoFar:
    """What a call that still runs has cost up to now. Attempts that have not ended are guessed as if they were cut."""
    usages = [(attempt, usage) for attempt in progress.attempts if (usage := attempt.usage_so_far(guesses))]
    costs = [
        prices.cost(attempt.provider, attempt.model.name, usage, tier=attempt.asked_tier) for attempt, usage in usages
    ]
    known = [cost.usd for cost in costs if cost.usd is not None]
    return CostSoFar(
        usage=sum((usage for _, usage in usages[1:]), usages[0][1]) if usages else None,
        cost_usd=sum(known, Decimal(0)) if known else None,
        cost_incomplete=any(cost.incomplete for cost in costs),
    )


def late_answer(progress: Progress) -> tuple[Attempt, Json] | None:
    """The first good answer that came although nobody waited for it any more."""
    answers = ((late.attempt, late.answer) for late in progress.read_on)
    return next(((attempt, answer) for attempt, answer in answers if answer is not None), None)


def _is_read_on(status: CallStatus, progress: Progress) -> bool:
    still_open = any(not late.task.done() for late in progress.read_on)
    return still_open or (status in WITHOUT_ANSWER and late_answer(progress) is not None)


def forget_frames(outcome: CallOutcome) -> None:
    """Detach the errors of an outcome from the stack frames that they came through.

    These frames hold the call and its body, which would otherwise stay in memory until the next garbage collection.
    """
    for error in (outcome.error, *(attempt.error for attempt in outcome.attempts)):
        if error is not None:
            error.__traceback__ = error.__cause__ = error.__context__ = None


def _records(progress: Progress, prices: PriceList, guesses: Guesses) -> tuple[AttemptRecord, ...]:
    # One racer makes several attempts if it is asked again, without a refused parameter or with another key. These do
    # not race each other, so a race has as many racers as have run in it, and not as many as it has attempts.
    racers = {(attempt.race.number, attempt.racer) for attempt in progress.attempts if attempt.ran}
    racers_by_race = Counter(race for race, _ in racers)
    return tuple(
        attempt.record(
            prices,
            raced=attempt.ran and racers_by_race[attempt.race.number] > 1,
            guesses=guesses,
        )
        for attempt in progress.attempts
    )


def _furthest(attempts: list[Attempt]) -> Attempt | None:
    """The attempt for a whole answer that had said most when its call was cut; None if none had said anything.

    A text for a reader counts before all else, such as the arguments of a tool call, or a thought.
    """

    def said(attempt: Attempt) -> tuple[int, int]:
        answer, operation = attempt.answer or {}, attempt.operation
        return len(operation.text(answer)), sum(map(len, operation.output_texts(answer)))

    furthest = max(attempts, key=said, default=None)
    return furthest if furthest is not None and any(said(furthest)) else None


def _sum_usage(attempts: tuple[AttemptRecord, ...]) -> Usage | None:
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    return sum(usages[1:], usages[0]) if usages else None


class _Costs(TypedDict):
    cost_usd: Decimal | None
    cost_incomplete: bool
    cost_estimated: bool


def _costs(attempts: tuple[AttemptRecord, ...]) -> _Costs:
    """What is known of the cost of all attempts, and how much it is worth."""
    spent = [attempt for attempt in attempts if attempt.usage is not None or attempt.cost_usd is not None]
    known = [attempt.cost_usd for attempt in spent if attempt.cost_usd is not None]
    return {
        "cost_usd": sum(known, Decimal(0)) if known or not spent else None,
        "cost_incomplete": any(attempt.cost_usd is None or attempt.cost_incomplete for attempt in spent),
        "cost_estimated": any(
            attempt.usage.estimated for attempt in spent if attempt.usage and not attempt.cost_stated
        ),
    }
