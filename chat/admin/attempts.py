"""The attempts of a call: a table, and when each of them ran, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chat.admin import formats
from chat.models import Attempt, CallRecord

if TYPE_CHECKING:
    AttemptTable = admin.TabularInline[Attempt, CallRecord]
else:
    AttemptTable = admin.TabularInline

TINIEST_BAR = 0.4
"""Percent; so that an attempt that took no time is still seen."""


@dataclass(frozen=True)
class Row:
    """An attempt and its bar, in percent of the whole time."""

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
        if self.attempt.prompt_tokens is None and self.attempt.completion_tokens is None:
            return formats.NOTHING
        return f"{formats.count(self.attempt.prompt_tokens)} / {formats.count(self.attempt.completion_tokens)}"

    @property
    def cost(self) -> str:
        if self.attempt.status == Attempt.Status.SKIPPED:
            return formats.NOTHING
        return formats.cost(self.attempt.cost_usd, estimated=self.attempt.usage_estimated)

    @property
    def badge(self) -> str:
        return formats.badge(self.attempt.status)


def rows_with_bars(attempts: Sequence[Attempt], whole_ms: int | None) -> list[Row]:
    ends = [attempt.started_after_ms + (attempt.latency_ms or 0) for attempt in attempts]
    whole = max([whole_ms or 0, *ends]) or 1

    def percent(duration_ms: int) -> float:
        return round(100 * duration_ms / whole, 2)

    rows = []
    for attempt in attempts:
        width = max(TINIEST_BAR, percent(attempt.latency_ms or 0))
        started = min(percent(attempt.started_after_ms), 100 - width)
        token_ms = attempt.time_to_first_token_ms
        token = None if token_ms is None else min(99.5, percent(attempt.started_after_ms + token_ms))
        rows.append(Row(attempt, started, width, token))
    return rows


class AttemptsInline(AttemptTable):
    model = Attempt
    template = "admin/chat/callrecord/attempts.html"
    fields = ("ordinal",)  # the template shows its own columns
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
