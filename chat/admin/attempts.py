"""The attempts of a call: a table with a bar for each attempt that shows when it ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chat.admin import formats
from chat.models import Attempt, CallRecord
from chat.token_counts import TOKEN_COLUMNS

if TYPE_CHECKING:
    AttemptTable = admin.TabularInline[Attempt, CallRecord]
else:
    AttemptTable = admin.TabularInline

# The counts that are told of an attempt only where they are above zero.
RARE_COUNTS = tuple(name for name in TOKEN_COLUMNS if name not in ("prompt_tokens", "completion_tokens"))
# The width of the narrowest bar in percent, so that an attempt that took no time can still be seen.
NARROWEST_BAR = 0.4
# The furthest place of a first token's mark in percent, so that the mark lies inside the picture.
LAST_MARK = 99.5


@dataclass(frozen=True)
class Row:
    """An attempt and the place of its bar, in percent of the time of the whole call."""

    attempt: Attempt
    started: float
    width: float
    first_token: float | None

    @property
    def started_after(self) -> str:
        return formats.milliseconds(self.attempt.started_after_ms)

    @property
    def latency(self) -> str:
        return formats.milliseconds(self.attempt.latency_ms)

    @property
    def time_to_first_token(self) -> str:
        return formats.milliseconds(self.attempt.time_to_first_token_ms)

    @property
    def tokens(self) -> str:
        return formats.tokens(self.attempt)

    @property
    def cost(self) -> str:
        if self.attempt.status == Attempt.Status.SKIPPED:
            return formats.NOTHING
        return formats.cost(
            self.attempt.cost_usd,
            estimated=self.attempt.cost_is_guessed,
            incomplete=self.attempt.cost_incomplete,
        )

    @property
    def details(self) -> str:
        """What most attempts do not have: rare counts, and where the cost comes from. Empty if there is none of it."""
        attempt = self.attempt
        counts = {name: getattr(attempt, name) for name in RARE_COUNTS}
        others = attempt.other_usage if isinstance(attempt.other_usage, dict) else {}
        said = [f"{name.replace('_', ' ')} {count:,}" for name, count in {**counts, **others}.items() if count]
        if attempt.service_tier:
            said.append(f"service tier {attempt.service_tier}")
        if attempt.answered_model:
            said.append(f"answered as {attempt.answered_model}")
        if attempt.cost_stated:
            said.append("the provider stated the cost")
        if attempt.original_cost_usd is not None:
            said.append(f"the cost was {formats.exact_cost(attempt.original_cost_usd)} before it was priced again")
        return ", ".join(said)

    @property
    def badge(self) -> str:
        return formats.badge(self.attempt.status)


def rows_with_bars(attempts: Sequence[Attempt], whole_ms: int | None) -> list[Row]:
    """The attempts with their bars. `whole_ms` is the latency of the call, None while it is in progress."""
    ends = [attempt.started_after_ms + (attempt.latency_ms or 0) for attempt in attempts]
    whole = max([whole_ms or 0, *ends]) or 1

    def percent(duration_ms: int) -> float:
        return round(100 * duration_ms / whole, 2)

    rows = []
    for attempt in attempts:
        width = max(NARROWEST_BAR, percent(attempt.latency_ms or 0))
        started = min(percent(attempt.started_after_ms), 100 - width)
        token_ms = attempt.time_to_first_token_ms
        token = None if token_ms is None else min(LAST_MARK, percent(attempt.started_after_ms + token_ms))
        rows.append(Row(attempt, started, width, token))
    return rows


class AttemptsInline(AttemptTable):
    model = Attempt
    template = "admin/chat/callrecord/attempts.html"
    fields = ("ordinal",)  # Django wants a field; the template shows its own columns.
    extra = 0
    ordering = ("ordinal",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        return super().get_queryset(request).order_by("ordinal")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
