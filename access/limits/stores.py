"""Where entries and counters are kept: what both stores promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from access.limits.meters import Meter, Verdict

COUNTER_SECONDS = 300
"""How long a counter of money is believed before it is read from the history again. Whatever went wrong in between, a
store that was away or lost its memory, is mended then."""


@dataclass(frozen=True, slots=True)
class Held:
    """An admission whose leases are to be renewed."""

    subject: str
    admission: str
    meters: Sequence[Meter]


class Store(Protocol):
    async def admit(
        self, subject: str, admission: str, meters: Sequence[Meter], spent: Mapping[str, int | None]
    ) -> Verdict:
        """Take the amounts of all meters, or of none: nothing comes between the look and the taking.

        `spent` is what was read for counters, by name. One that is neither there nor in it is `unread`; one that is
        None could not be read, and is not held against the call.
        """

    async def settle(self, subject: str, admission: str, meters: Sequence[Meter], used: Sequence[int]) -> None:
        """Put what was used in the place of what was taken. Leases end, and money goes to its counter."""

    async def renew(self, held: Sequence[Held]) -> None:
        """Leases that are still there get their whole time anew."""
