"""What is kept of one upstream request after it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from llm.costs.usage import Usage
from llm.errors import UpstreamError


class AttemptStatus(StrEnum):
    """How an attempt ended.

    `cancelled`: it was ended before its end. `lost`: it succeeded in the same instant as the winner of its race.
    `skipped`: it was never sent, because the model's circuit breaker was open.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """How one upstream request went. Times are in milliseconds, money is in US dollars.

    `raced` means that it ran beside other attempts of its stage. `read_on` means that nobody waited for its whole
    answer any more, and that it was read on because it is paid for. `service_tier` is the tier that was served, as the
    answer names it. `answered_model` is the model that the answer names, if that is another than the one that was
    asked.

    `cost_usd` is None where no price is known. `cost_incomplete` means that a part of what was used has no known price,
    and `cost_stated` that the provider itself stated the cost.
    """

    ordinal: int
    model: str
    provider: str
    status: AttemptStatus
    raced: bool
    started_after_ms: int
    latency_ms: int | None = None
    time_to_first_token_ms: int | None = None
    error: UpstreamError | None = None
    http_status: int | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    upstream_request_id: str = ""
    read_on: bool = False
    service_tier: str = ""
    answered_model: str = ""
    cost_incomplete: bool = False
    cost_stated: bool = False

    @property
    def cost_estimated(self) -> bool:
        """The provider stated neither what the attempt cost nor all that it used, so its cost is a guess."""
        return self.usage is not None and self.usage.estimated and not self.cost_stated
