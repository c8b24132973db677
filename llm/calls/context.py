"""What all calls of an engine share."""

from __future__ import annotations

from dataclasses import dataclass

from llm.calls.reading_on import ReadingOn
from llm.config import EngineConfig
from llm.costs.estimates import Experience
from llm.costs.pricing import PriceList
from llm.routing.circuit_breaker import CircuitBreakers
from llm.routing.hedging import HedgeBudget
from llm.upstream.adaptation import RefusedParameters
from llm.upstream.client import Upstream


@dataclass(frozen=True, slots=True)
class EngineContext:
    """The engine's configuration, its way to the providers, and what it has learned from earlier calls."""

    config: EngineConfig
    upstream: Upstream
    prices: PriceList
    breakers: CircuitBreakers
    hedges: HedgeBudget
    refused: RefusedParameters
    reading_on: ReadingOn
    experience: Experience
