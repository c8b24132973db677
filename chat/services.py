"""The bridge between the engine and Django: start a call, see it recorded, log it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from rest_framework.exceptions import APIException

from chat.call_rows import CallRows
from chat.gate import Gate, settle
from chat.open_calls import LEASE_SECONDS, OpenCalls
from chat.orders import Order
from chat.recorder import Recorder
from chat.rows import RowMaker
from llm import Call, CallOutcome, Engine

logger = logging.getLogger("chat")


@dataclass(frozen=True, slots=True)
class Service:
    """What lives as long as the process, and is found in every request's `scope["state"]`."""

    engine: Engine
    recorder: Recorder
    open_calls: OpenCalls
    row_maker: RowMaker
    gate: Gate


class NoCapacity(APIException):
    """Nothing can be recorded any more, so nothing is taken that would be lost."""

    status_code = 503
    default_detail = "The service can't record calls at the moment. Please try again later."


async def start_call(service: Service, order: Order) -> Call:
    """Start a call. Its rows are safe before anyone sees the end of its answer.

    Raises PermissionDenied for what its caller may not do, RateLimited beyond its limits, and NoCapacity.
    """
    if not service.recorder.has_room:
        raise NoCapacity
    admission = await service.gate.admit(order)
    order.headers.update(admission.headers)

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
        _log(order, outcome)

    open_call = service.open_calls.opened(start_rows)
    call = service.engine.start(order.request, record)
    call.task.add_done_callback(lambda _: service.open_calls.ended(open_call))
    call.task.add_done_callback(lambda _: admission.abandon())
    return call


async def answer_call(service: Service, order: Order) -> CallOutcome:
    """Run a call to its end. If the caller goes away meanwhile, the upstream is stopped and the call recorded so."""
    call = await start_call(service, order)
    try:
        return await call.settled()
    finally:
        call.cancel()


def _log(order: Order, outcome: CallOutcome) -> None:
    """One line per call. No prompt, no answer."""
    usage = outcome.usage
    logger.info(
        "llm_call",
        extra={
            "request_id": order.request_id,
            "door": order.door,
            "status": outcome.status,
            "model": outcome.model_used or order.request.route.first.name,
            "provider": outcome.provider_used,
            "latency_ms": outcome.latency_ms,
            "cost_usd": outcome.cost_usd,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "attempts": len(outcome.attempts),
            "error_code": outcome.error.code if outcome.error else None,
        },
    )
