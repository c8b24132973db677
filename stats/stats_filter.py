"""What a caller asks /stats for: which calls, and how they are grouped."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, get_args

GroupBy = Literal["model", "provider", "door", "status", "api_key", "hour", "day"]
GROUP_BY: tuple[GroupBy, ...] = get_args(GroupBy)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsFilter:
    """Which calls are counted, and how they are grouped. A field that is None leaves no call out.

    A call at `since` is counted and one at `until` is not, so that neighbouring periods neither overlap nor leave a
    gap. Both times are aware. `model` is the model that answered, or the requested one if none answered. An empty
    `api_key` means the calls without a key.
    """

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    model: str | None = None
    door: str | None = None
    status: str | None = None
    api_key: str | None = None
    group_by: GroupBy | None = None
