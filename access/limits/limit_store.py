"""Where the entries and counters of limits are stored: what a store promises, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from access.limits.meters import Meter

# How long the counter of a budget is trusted before it is read from the history of calls again. A counter can be wrong
# after a store was away or lost its memory; reading it again repairs that.
COUNTER_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of one meter before the call. All times are in seconds from now.

    `used` is the whole amount in use, and `held` is the part of it that is in entries. `first_free` is when the first
    entry ends, and `all_free` when the last one does. `wait` is when enough entries have ended for the call to fit.
    """

    used: int
    held: int
    first_free: float
    all_free: float
    wait: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call is admitted. `refused_by` is the index of the meter that refuses it, or None if none does.

    `unread` is the index of a meter whose counter must be read from the history first. In that case nothing is decided
    yet, and the other fields are empty.
    """

    readings: tuple[Reading, ...] = ()
    refused_by: int | None = None
    unread: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The leases of one admission, which are to be renewed."""

    caller_id: str
    admission_id: str
    meters: Sequence[Meter]


class LimitStore(Protocol):
    """`caller_id` is `Caller.id`: the caller whose limits are counted."""

    async def admit(
        self, caller_id: str, admission_id: str, meters: Sequence[Meter], spent: Mapping[str, int | None]
    ) -> Verdict:
        """Take the amounts of all meters, or of none. No other admission can come between the check and the taking.

        `spent` contains what was read from the history for each counter, by the counter's name. If a counter is
        neither stored nor in `spent`, the answer is `unread`. None in `spent` means that the history could not be read:
        then the call is judged as if nothing had been spent.
        """

    async def settle(self, caller_id: str, admission_id: str, meters: Sequence[Meter], used: Sequence[int]) -> None:
        """Replace what was taken in advance by what was used. Leases end, and money is added to its counter."""

    async def renew(self, held: Sequence[Held]) -> None:
        """Let each lease that still exists count for its whole time again."""
