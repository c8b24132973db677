"""Starts a call in the engine, sees to its record, and tells the observers when it has ended."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from django.utils import timezone
from rest_framework.exceptions import APIException

from access.limits.limiter import Admission
from chat.call.answer_cache import AnswerCache
from chat.call.cached_call import CachedCall
from chat.call.gate import Gate, settle
from chat.observers.model_labels import ModelLabels
from chat.order import Order
from chat.record.call_rows import CallRows
from chat.record.open_calls import LEASE_SECONDS, OpenCalls
from chat.record.recorder import Recorder
from chat.record.row_maker import RowMaker
from chat.request_ids import RecentIds
from llm import Call, CallOutcome, Engine, Json, LateEnd, Opening

logger = logging.getLogger("chat")

# Is told of every call that has ended, after the call is on record: the log, the metrics and the traces. An observer
# must not block.
Observer = Callable[[Order, CallOutcome], None]

# The same for what became of answers that nobody waited for any more. Its call is known to the observers above already.
LateObserver = Callable[[Order, LateEnd], None]

# Keeps an answer that has come too late for its caller, so that the caller gets it when it asks again.
KeepLate = Callable[[CallOutcome], Awaitable[None]]

End = TypeVar("End", CallOutcome, LateEnd)


@dataclass(frozen=True, slots=True)
class ProcessParts:
    """The parts that live as long as the process. A request finds them in its `scope["state"]`."""

    engine: Engine
    recorder: Recorder
    open_calls: OpenCalls
    row_maker: RowMaker
    answers: AnswerCache
    gate: Gate
    labels: ModelLabels
    observers: tuple[Observer, ...] = ()
    late_observers: tuple[LateObserver, ...] = ()
    recent_ids: RecentIds = field(default_factory=RecentIds)


class NoCapacity(APIException):
    """No more calls can be recorded, so none is started: its record would be lost."""

    status_code = 503
    default_detail = "The service can't record calls at the moment. Please try again later."


class RunningCall(Protocol):
    """A call as its door sees it: an `llm.Call`, which a model answers, or a `CachedCall`, which the cache answers."""

    @property
    def opening(self) -> Opening:
        """What is known when a stream begins: the model that answers it."""

    @property
    def is_settled(self) -> bool:
        """Whether the call has ended and is on record."""

    @property
    def failed_unopened(self) -> CallOutcome | None:
        """The outcome of a call that failed before its stream had any content."""

    async def settled(self) -> CallOutcome:
        """Wait until the call has ended and is on record."""

    async def opened(self) -> None:
        """Wait until a stream has content, or the call has settled without any."""

    def batches(self) -> AsyncGenerator[list[Json], None]:
        """The chunks of a stream as they come. A batch is empty if nothing has come for a while."""

    def cancel(self, *, stopping: bool = False) -> None:
        """End the call early. `stopping` says that the service stops, and not that the caller has gone."""


async def start_call(parts: ProcessParts, order: Order, keep_late: KeepLate | None = None) -> RunningCall:
    """Start a call, or answer it from the cache. Its rows are safe before its caller sees the end of the answer.

    If its caller gets no answer, and one comes that nobody waits for any more, `keep_late` gets that one.

    Raises PermissionDenied if the caller may not call these models, RateLimited if its limits have no room, and
    NoCapacity.
    """
    if not parts.recorder.has_room:
        raise NoCapacity
    admission = await parts.gate.admit(order)
    order.headers.update(admission.headers)
    if order.own_id.is_chosen:
        order.own_id.change(parts.recent_ids.take(order.request_id))
    try:
        if order.cache_ttl and (cached := await _cached(parts, order)):
            await admission.release()
            return cached
        return _start(parts, order, admission, keep_late)
    except BaseException:
        await admission.release()
        raise


async def _cached(parts: ProcessParts, order: Order) -> CachedCall | None:
    """The call as the cache answers it, already on record; None where the cache has no answer."""
    started = time.monotonic()
    outcome = await parts.answers.find(order)
    if outcome is None:
        return None
    outcome = dataclasses.replace(outcome, latency_ms=round((time.monotonic() - started) * 1000))
    await _save(parts, order, parts.row_maker.rows(order, outcome))
    _observe(parts.observers, order, outcome)
    return CachedCall(order.request.operation, outcome)


def _start(parts: ProcessParts, order: Order, admission: Admission, keep_late: KeepLate | None) -> Call:
    """Start the call in the engine, which calls `record` with its outcome before the caller sees the end of it.

    If something of the call is read on then, the engine calls `record_late_end` when that has ended.
    """
    first_rows: CallRows | None = None

    def start_rows() -> CallRows:
        return parts.row_maker.start_rows(order, call.cost_so_far, lease_until=_lease_until())

    async def record(outcome: CallOutcome) -> None:
        nonlocal first_rows
        rows = parts.row_maker.rows(order, outcome)
        if announced := parts.open_calls.ended(open_call):
            # The call has a row since it was running. That row's id has a suffix if a caller chose the same id twice.
            rows.announced = True
            rows.call["request_id"] = announced.request_id
        if outcome.reading_on:
            rows.call["lease_until"] = _lease_until()
            parts.open_calls.reads_on(open_call, rows)
        first_rows = rows
        try:
            await _save(parts, order, rows)
        finally:
            # After the row is written, because a budget may be read from the rows. Before the answer ends, because the
            # caller's next call may need what this call has held.
            if outcome.reading_on:
                await admission.free_place()
            else:
                await settle(admission, outcome)
        _observe(parts.observers, order, outcome)
        if order.cache_ttl:
            await parts.answers.keep(order, outcome)

    async def record_late_end(late_end: LateEnd) -> None:
        assert first_rows is not None
        rows = parts.row_maker.rows(order, late_end.outcome)
        rows.amends = True
        rows.call["request_id"] = first_rows.request_id
        try:
            # Before the rows, because until then the lease of the first rows keeps the next request with the same
            # idempotency key waiting.
            if keep_late is not None and late_end.answer is not None:
                await keep_late(late_end.answer)
        finally:
            parts.open_calls.has_read_on(open_call)
            try:
                await parts.recorder.save(rows)
            finally:
                await settle(admission, late_end.outcome)
        _observe(parts.late_observers, order, late_end)
        if order.cache_ttl and late_end.answer is not None:
            await parts.answers.keep(order, late_end.answer)

    open_call = parts.open_calls.opened(start_rows)
    request = dataclasses.replace(order.request, caller=order.caller.id)
    call = parts.engine.start(request, record, record_late_end)
    # For a call that ends without calling `record` or `record_late_end`, by an error that nobody expected.
    call.task.add_done_callback(lambda _: parts.open_calls.ended(open_call))
    call.task.add_done_callback(lambda _: parts.open_calls.has_read_on(open_call))
    call.task.add_done_callback(lambda _: admission.end_renewal())
    return call


async def _save(parts: ProcessParts, order: Order, rows: CallRows) -> None:
    """Save rows. If their id was another call's already, they were given another id, and the answer says that one."""
    await parts.recorder.save(rows)
    order.own_id.change(rows.request_id)


def _lease_until() -> datetime:
    return timezone.now() + timedelta(seconds=LEASE_SECONDS)


def _observe(observers: Iterable[Callable[[Order, End], None]], order: Order, end: End) -> None:
    """Tell the observers. The call is on record already, and an observer that fails must not spoil its answer."""
    for observer in observers:
        try:
            observer(order, end)
        except Exception:
            logger.exception("observer_failed", extra={"request_id": order.request_id})
