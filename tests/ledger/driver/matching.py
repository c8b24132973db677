"""Which row of ours is which line of the ledger, and what kind of request that was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from tests.ledger.driver.calls import WARM_UP_FROM
from tests.ledger.driver.rows import PLACES, AttemptRow
from tests.ledger.upstream.lines import Line
from tests.ledger.upstream.prices import LONG_PROMPT

# The APIs whose answers name the tier that served them.
TIERED_OPERATIONS = ("chat/completions", "responses")


class Kind(Enum):
    """What can be told apart in the table. `told` means that the provider has said what it took."""

    PLAIN = "told: plain"
    CACHED = "told: cached prompt"
    WRITTEN = "told: prompt written to the cache"
    TIER = "told: tier flex or priority"
    AUDIO = "told: audio"
    SEARCHES = "told: searches"
    LONG = "told: long prompt"
    READ_ON = "told: whole answer, read on"
    WHOLE_CUT = "whole answer, cut"
    WHOLE_BROKEN = "whole answer, broken in transit"
    LOSER_EARLY = "stream, race lost before its first token"
    LOSER = "stream, race lost in mid-answer"
    LEFT_EARLY = "stream, caller left before its first token"
    LEFT = "stream, caller left in mid-answer"
    DEADLINE = "stream, deadline"
    BROKEN = "stream, broken by the provider"
    LAST_INSTANT = "stream, cut when all was sent"
    REFUSED = "refused"
    MISSING = "no row of ours"


@dataclass(frozen=True, slots=True)
class Pair:
    """A line and its row. Either may be missing, which is a defect of ours."""

    line: Line | None
    row: AttemptRow | None

    @property
    def is_warm_up(self) -> bool:
        mark = self.line.mark if self.line else self.row.request_id if self.row else ""
        return int(mark.rpartition("-")[2]) >= WARM_UP_FROM

    @property
    def ledger_usd(self) -> Decimal:
        return self.line.amount_usd if self.line else Decimal(0)

    @property
    def ours_usd(self) -> Decimal:
        return (self.row.cost_usd if self.row else None) or Decimal(0)

    @property
    def error_usd(self) -> Decimal:
        return self.ours_usd - self.ledger_usd

    @property
    def is_told(self) -> bool:
        """Whether the provider has said what it took, and our row has that: then the cost must be exact."""
        if self.line is None or self.row is None or not self.line.told:
            return False
        return self.row.tokens is not None and not self.row.estimated

    @property
    def is_missed(self) -> bool:
        """Whether the provider has said what it took, and our attempt succeeded without reading that."""
        if self.line is None or self.row is None or not self.line.told:
            return False
        return self.row.status == "succeeded" and not self.is_told

    @property
    def is_exact(self) -> bool:
        return self.row is not None and self.row.cost_usd == self.ledger_usd.quantize(PLACES)

    @property
    def counts_are_exact(self) -> bool:
        """Whether our row has each count of the line. Of the tier there may be nothing, where no answer names one."""
        line, row = self.line, self.row
        if line is None or row is None:
            return False
        tier = line.tier if line.operation in TIERED_OPERATIONS else ""
        return (row.tokens, row.searches, row.tier) == (line.tokens, line.searches, tier)


def match(lines: Iterable[Line], rows: Iterable[AttemptRow]) -> list[Pair]:
    """By the provider's own id of the request where it came, and else by call and model, in their order."""
    rows_left: dict[str, list[AttemptRow]] = defaultdict(list)
    for row in rows:
        rows_left[row.request_id].append(row)
    by_mark: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_mark[line.mark].append(line)
    pairs = []
    for mark, its_lines in by_mark.items():
        left = rows_left[mark]
        unnamed = []
        for line in its_lines:
            named = next((row for row in left if row.upstream_request_id == line.upstream_request_id), None)
            if named is None:
                unnamed.append(line)
            else:
                left.remove(named)
                pairs.append(Pair(line, named))
        for line in unnamed:
            other = next((row for row in left if row.model == line.model and not row.upstream_request_id), None)
            if other is not None:
                left.remove(other)
            pairs.append(Pair(line, other))
    # A row without a line never reached the provider, so it must cost nothing.
    return pairs + [Pair(None, row) for left in rows_left.values() for row in left if row.cost_usd]


def kind_of(pair: Pair) -> Kind:
    line, row = pair.line, pair.row
    if line is None or row is None:
        return Kind.MISSING
    if line.refusal:
        return Kind.REFUSED
    if pair.is_told:
        return _kind_told(line, row)
    if not line.streamed:
        return Kind.WHOLE_BROKEN if line.broken else Kind.WHOLE_CUT
    if line.broken:
        return Kind.BROKEN
    if line.told:
        return Kind.LAST_INSTANT
    if row.call_status == "cancelled":
        return Kind.LEFT if line.began else Kind.LEFT_EARLY
    if row.status in ("cancelled", "lost") and row.raced and row.call_status == "succeeded":
        return Kind.LOSER if line.began else Kind.LOSER_EARLY
    return Kind.DEADLINE


def _kind_told(line: Line, row: AttemptRow) -> Kind:
    """The first of these that it is: what makes a price special comes before what makes it usual."""
    tokens = line.tokens
    searched = line.searches.web or line.searches.file
    for holds, kind in (
        (tokens.prompt > LONG_PROMPT, Kind.LONG),
        (tokens.audio_in or tokens.audio_out, Kind.AUDIO),
        (searched, Kind.SEARCHES),
        (line.tier != "default", Kind.TIER),
        (tokens.written, Kind.WRITTEN),
        (row.read_on, Kind.READ_ON),
        (tokens.cached, Kind.CACHED),
    ):
        if holds:
            return kind
    return Kind.PLAIN
