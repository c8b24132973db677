"""The bridge between the engine and Django: start a call, see it recorded, tell who wants to know."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

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
from llm import Call, CallOutcome, Engine, Json, Opening

logger = logging.getLogger("chat")


Observer = Callable[[Order, CallOutcome], None]
"""Is told of every call that has ended, after it is on record: the log, the metrics, the traces. Must not block."""


@dataclass(frozen=True, slots=True)
class Service:
    """What lives as long as the process, and is found in every request's `scope["state"]`."""

    engine: Engine
    recorder: Recorder
    open_calls: OpenCalls
    row_maker: RowMaker
    answers: AnswerCache
    gate: Gate
    labels: ModelLabels
    observers: tuple[Observer, ...] = ()


class NoCapacity(APIException):
    """Nothing can be recorded any more, so nothing is taken that would be lost."""

    status_code = 503
    default_detail = "The service can't record calls at the moment. Please try again later."


class Conducted(Protocol):
    """A call as its door sees it, whoever answers it. See `llm.Call`."""

    @property
    def opening(self) -> Opening: ...
    @property
    def is_settled(self) -> bool: ...
    @property
    def failed_unopened(self) -> CallOutcome | None: ...
    async def settled(self) -> CallOutcome: ...
    async def opened(self) -> None: ...
    def batches(self) -> AsyncGenerator[list[Json], None]: ...
    def cancel(self, *, stopping: bool = False) -> None: ...


async def start_call(service: Service, order: Order) -> Conducted:
    """Start a call, or answer it from the cache. Its rows are safe before anyone sees the end of its answer.

    Raises PermissionDenied for what its caller may not do, RateLimited beyond its limits, and NoCapacity.
    """
    if not service.recorder.has_room:
        raise NoCapacity
    admission = await service.gate.admit(order)
    order.headers.update(admission.headers)
    try:
        if order.cache_ttl and (cached := await _cached(service, order)):
            await admission.release()
            return cached
        return _start(service, order, admission)
    except BaseException:
        await admission.release()
        raise


async def _cached(service: Service, order: Order) -> CachedCall | None:
    started = time.monotonic()
    outcome = await service.answers.find(order)
    if outcome is None:
        return None
    outcome = dataclasses.replace(outcome, latency_ms=round((time.monotonic() - started) * 1000))
    await service.recorder.save(service.row_maker.rows(order, outcome))
    _observe(service, order, outcome)
    return CachedCall(order.request.operation, outcome)


def _start(service: Service, order: Order, admission: Admission) -> Call:

    def start_rows() -> CallRows:
        lease_until = timezone.now() + timedelta(seconds=LEASE_SECONDS)
        return service.row_maker.start_rows(order, lease_until=lease_until)

    async def record(outcome: CallOutcome) -> None:
        rows = service.row_maker.rows(order, outcome)
        if announced := service.open_calls.ended(open_call):
            rows.announced = True
            rows.call["request_id"] = announced.request_id
        try:
            await service.recorder.save(rows)
        finally:
            # After the row, because a budget may be read from rows; before the answer ends, because the caller's next
            # call may need what this one has held.
            await settle(admission, outcome)
        _observe(service, order, outcome)
        if order.cache_ttl:
            await service.answers.keep(order, outcome)

    open_call = service.open_calls.opened(start_rows)
    call = service.engine.start(order.request, record)
    call.task.add_done_callback(lambda _: service.open_calls.ended(open_call))
    call.task.add_done_callback(lambda _: admission.end_renewal())
    return call


def _observe(service: Service, order: Order, outcome: CallOutcome) -> None:
    """Tell who wants to know. The call is on record already, and none of them may spoil its answer."""
    for observer in service.observers:
        try:
            observer(order, outcome)
        except Exception:
            logger.exception("observer_failed", extra={"request_id": order.request_id})
