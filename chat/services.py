"""The bridge between the engine and Django: start a call, see it recorded, log it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from chat.orders import Order
from chat.recorder import Recorder
from chat.rows import rows_of
from llm import Call, CallOutcome, Engine

logger = logging.getLogger("chat")


@dataclass(frozen=True, slots=True)
class Service:
    """What lives as long as the process, and is found in every request's `scope["state"]`."""

    engine: Engine
    recorder: Recorder
    store_content: bool


def start_call(service: Service, order: Order) -> Call:
    """Start a call. Its rows are committed before anyone sees the end of its answer."""

    async def record(outcome: CallOutcome) -> None:
        rows = rows_of(order, outcome, store_content=service.store_content)
        try:
            await service.recorder.save(rows)
        except Exception:
            # The answer is paid for, so it goes out. The figures are in the log line below.
            logger.exception("record_lost", extra={"request_id": order.request_id})
        _log(order, outcome)

    return service.engine.start(order.request, record)


async def answer_call(service: Service, order: Order) -> CallOutcome:
    """Run a call to its end. If the caller goes away meanwhile, the upstream is stopped and the call recorded so."""
    call = start_call(service, order)
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
