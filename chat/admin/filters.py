"""The filters beside the list. None of them reads the whole table to find the values that it offers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db import connections
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from chat.models import CallRecord

# How many values of a column a filter offers at most.
MAX_VALUES = 100
# The tiers that OpenAI and Anthropic name in their answers.
TIERS = ("", "batch", "default", "flex", "priority", "scale", "standard")
# The choices of the cost filter. Each has its name in the address, its label and its condition.
COSTS = {
    "0": ("$0", Q(cost_usd=0)),
    "lt0.01": ("under $0.01", Q(cost_usd__gt=0, cost_usd__lt=Decimal("0.01"))),
    "lt0.1": ("$0.01 to $0.10", Q(cost_usd__gte=Decimal("0.01"), cost_usd__lt=Decimal("0.1"))),
    "gte0.1": ("$0.10 or more", Q(cost_usd__gte=Decimal("0.1"))),
    "unknown": ("unknown", Q(cost_usd=None)),
    "estimated": ("~ estimated", CallRecord.GUESSED),
    "incomplete": ("≥ incomplete", Q(cost_incomplete=True)),
}


class CostFilter(admin.SimpleListFilter):
    title = "cost"
    parameter_name = "cost"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in COSTS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CallRecord]) -> QuerySet[CallRecord]:
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(COSTS[chosen][1]) if chosen in COSTS else queryset.none()


class ValuesFilter(admin.SimpleListFilter):
    """A filter with one choice for each value that the column has."""

    parameter_name: str
    # The label of the empty value, in brackets.
    blank = "none"

    def values(self) -> list[str]:
        return existing_values(self.parameter_name)

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        values = self.values()
        chosen = self.value()
        if chosen is not None and chosen not in values:  # Someone wrote it into the address.
            values = sorted([*values, chosen])
        return [(value, value or f"({self.blank})") for value in values]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[CallRecord]) -> QuerySet[CallRecord]:
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(**{self.parameter_name: chosen})


class TierFilter(ValuesFilter):
    """No index leads with the tier, so the filter offers the tiers that providers have instead of looking for them."""

    title = "service tier"
    parameter_name = "service_tier"
    blank = "none named"

    def values(self) -> list[str]:
        return list(TIERS)


class ModelFilter(ValuesFilter):
    title = "model used"
    parameter_name = "model_used"
    blank = "no model answered"


class ApiKeyFilter(ValuesFilter):
    title = "API key"
    parameter_name = "api_key"
    blank = "no key"


class ProviderFilter(ValuesFilter):
    title = "provider"
    parameter_name = "provider_used"
    blank = "no model answered"


def existing_values(column: str) -> list[str]:
    """The first `MAX_VALUES` values of a column that leads an index, in order.

    This is a loose index scan: it jumps from each value to the next, so it costs one look into the index for each
    value, however many rows there are. For a SELECT DISTINCT, SQLite and PostgreSQL would read the whole index.
    """
    connection = connections[CallRecord.objects.db]
    table = connection.ops.quote_name(CallRecord._meta.db_table)
    name = connection.ops.quote_name(column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE existing(value) AS ("  # noqa: S608 - both names come from the model
            f" SELECT MIN({name}) FROM {table} UNION ALL"
            f" SELECT (SELECT MIN({name}) FROM {table} WHERE {name} > existing.value)"
            f" FROM existing WHERE existing.value IS NOT NULL"
            f") SELECT value FROM existing WHERE value IS NOT NULL LIMIT {MAX_VALUES}"
        )
        return [value for (value,) in cursor.fetchall()]
