"""What every call passes before it starts: may its caller do this, and is there room in its limits?"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework.exceptions import PermissionDenied

from access.limits.limiter import Admission, Limiter
from access.limits.meters import Estimate
from access.limits.rate_limited import RateLimited
from chat.call.authorization import authorize
from chat.observers.metrics import REFUSED_CALLS
from chat.order import Order
from llm import EMBEDDINGS, MAX_TOKENS, CallOutcome, Engine, ModelRef, PriceList, Stage, Usage

ANSWER_TOKENS = 1_000
"""What an answer is taken to need where the caller sets no bound to it."""
BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""By which names a caller bounds an answer."""
MAX_ANSWERS = 1_000
"""More than any upstream gives at once. A larger `n` is the upstream's to refuse."""


class Gate:
    """One for the life of an engine."""

    def __init__(self, engine: Engine, limiter: Limiter) -> None:
        self._engine = engine
        self.limiter = limiter
        self._prices = PriceList(engine.config.prices)

    async def admit(self, order: Order) -> Admission:
        """Raises PermissionDenied or RateLimited. An admission is to be settled."""
        authorize(self._engine, order.caller, order.request.route)
        try:
            return await self.limiter.admit(order.caller, self._estimate(order))
        except RateLimited as refused:
            REFUSED_CALLS.labels(str(refused.limit)).inc()
            raise

    def _estimate(self, order: Order) -> Estimate:
        """What the most expensive stage of the route would use, with all its racers."""
        limits = order.caller.limits
        if not limits.need_estimate:
            return Estimate()
        usage = _usage(order)
        stages = order.request.route.stages
        tokens = max(len(stage.models) for stage in stages) * usage.total_tokens
        if not limits.has_budget:
            return Estimate(tokens)
        return Estimate(tokens, max(self._cost_usd(stage, usage, order.caller.name) for stage in stages))

    def _cost_usd(self, stage: Stage, usage: Usage, name: str) -> Decimal:
        return sum((self._price(model, usage, name) for model in stage.models), Decimal())

    def _price(self, model: ModelRef, usage: Usage, name: str) -> Decimal:
        """Raises PermissionDenied: what has no price can't be held against a budget, and would be spent without one."""
        cost = self._prices.cost_usd(self._engine.config.providers[model.provider], model.name, usage)
        if cost is None:
            raise PermissionDenied(
                f"The API key '{name}' has a budget, and the price of '{model.name}' is not known. PRICES can set it."
            )
        return cost


async def settle(admission: Admission, outcome: CallOutcome) -> None:
    """Settle for what all attempts used, the losers' too."""
    usages = [attempt.usage for attempt in outcome.attempts if attempt.usage is not None]
    await admission.settle(tokens=sum(usage.total_tokens for usage in usages), cost_usd=outcome.cost_usd)


def _usage(order: Order) -> Usage:
    body, operation = order.request.body, order.request.operation
    prompt = operation.prompt_tokens(body)
    if operation is EMBEDDINGS:
        return Usage(prompt_tokens=prompt, completion_tokens=0)
    bound = next(filter(None, (_whole(body, name) for name in BOUNDS)), ANSWER_TOKENS)
    answers = min(_whole(body, "n") or 1, MAX_ANSWERS)
    return Usage(prompt_tokens=prompt, completion_tokens=min(bound, MAX_TOKENS) * answers)


def _whole(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
