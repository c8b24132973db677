"""The ledger: one line for each request that has arrived."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tests.ledger.upstream.prices import Searches, Tokens, amount_usd


@dataclass(slots=True)
class Line:
    """A request and what is billed for it. It is written to while the request runs."""

    number: int
    operation: str
    model: str
    # What the caller put into its prompt to tell its calls apart.
    mark: str
    upstream_request_id: str
    streamed: bool
    tier: str = "default"
    # The HTTP status of a refusal, before any work was done; 0 if there was none.
    refusal: int = 0
    tokens: Tokens = field(default_factory=lambda: Tokens(prompt=0))
    searches: Searches = field(default_factory=Searches)
    # Whether the provider broke the connection itself, or ended the stream with an error.
    broken: bool = False
    # Whether everything has been sent, with the usage in it if it was asked for, and the connection was still there.
    told: bool = False
    # Whether anything that the model made has been sent.
    began: bool = False

    @property
    def amount_usd(self) -> Decimal:
        if self.refusal:
            return Decimal(0)
        return amount_usd(self.model, self.tier, self.tokens, self.searches)


class Ledger:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        # How many requests are being worked on.
        self.open = 0

    def add(self, **fields: object) -> Line:
        line = Line(number=len(self.lines), **fields)  # type: ignore[arg-type]
        self.lines.append(line)
        return line

    def nth(self, mark: str, model: str) -> int:
        """How many requests of this mark and model there have been."""
        return sum(line.mark == mark and line.model == model for line in self.lines)
