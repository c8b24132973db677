"""The check before a call starts: may its caller do this, and do its limits have room for it?"""

from __future__ import annotations

from decimal import Decimal

from rest_framework.exceptions import PermissionDenied

from access.limits.limiter import Admission, Limiter
from access.limits.meters import Estimate
from access.limits.rate_limited import RateLimited
from chat.call.authorization import authorize
from chat.observers.metrics import REFUSED_CALLS
from chat.order import Order
from llm import CallOutcome, Engine, ModelRef, PriceList, Reservation, Stage, Usage


class Gate:
    """One for the life of an engine."""

    def __init__(self, engine: Engine, limiter: Limiter) -> None:
        self._engine = engine
        self.limiter = limiter
        self._prices = PriceList(engine.config.prices)

    async def admit(self, order: Order) -> Admission:
        """Take what the call may use from its caller's limits. Whoever gets the admission has to settle it.

        Raises PermissionDenied or RateLimited.
        """
        authorize(self._engine, order.caller, order.request.route)
        try:
            return await self.limiter.admit(order.caller, self._estimate(order))
        except RateLimited as refused:
            REFUSED_CALLS.labels(str(refused.limit)).inc()
            raise

    def _estimate(self, order: Order) -> Estimate:
        """What the call may use: as much as the most expensive stage of its route, with all racers of that stage."""
        limits = order.caller.limits
        if not limits.need_estimate:
            return Estimate()
        reservation = Reservation(order.request)
        stages = order.request.route.stages
        tokens = max(sum(reservation.usage(model).total_tokens for model in stage.models) for stage in stages)
        if not limits.has_budget:
            return Estimate(tokens)
        return Estimate(tokens, max(self._cost_usd(stage, reservation, order) for stage in stages))

    def _cost_usd(self, stage: Stage, reservation: Reservation, order: Order) -> Decimal:
        return sum((self._price(model, reservation.usage(model), order) for model in stage.models), Decimal())

    def _price(self, model: ModelRef, usage: Usage, order: Order) -> Decimal:
        """The price in the service tier that the call asks for.

        Raises PermissionDenied if the price is not known: the call could spend more than the key's budget.
        """
        provider, tier = self._engine.config.providers[model.provider], order.request.body.get("service_tier")
        cost = self._prices.cost(provider, model.name, usage, tier=tier if isinstance(tier, str) else "").usd
        if cost is None:
            raise PermissionDenied(
                f"The API key '{order.caller.name}' has a budget, and the price of '{model.name}' is not known. "
                "PRICES can set it."
            )
        return cost


async def settle(admission: Admission, outcome: CallOutcome) -> None:
    """Settle for what all attempts of the call used, those that lost a race included.

    Of a cost that is only known in part, what was reserved stays charged.
    """
    usages = [attempt.usage for attempt in outcome.attempts if attempt.usage is not None]
    cost_usd = None if outcome.cost_incomplete else outcome.cost_usd
    await admission.settle(tokens=sum(usage.total_tokens for usage in usages), cost_usd=cost_usd)
