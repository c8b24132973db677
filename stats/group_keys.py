"""What calls are grouped by, as SQL expressions: from the calls themselves, and from the roll-ups."""

from __future__ import annotations

from django.db.models import CharField, F, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, NullIf, Substr

from stats.stats_filter import GroupBy

# How many characters of a time, written as text, name its hour or its day.
PERIOD_TEXT = {"hour": len("2026-11-24 10"), "day": len("2026-11-24")}


def model_key(call: str = "") -> Coalesce:
    """The model that a call counts for: the one that answered, or else the requested one.

    `call` is the path to the call, like `call__`, if the query is not about calls.
    """
    return Coalesce(NullIf(f"{call}model_used", Value("")), f"{call}model_requested")


def call_key(group_by: GroupBy | None, call: str = "") -> Combinable:
    """The key of a call. It is always a text, and empty if nothing is grouped. `call` as for `model_key`."""
    match group_by:
        case None:
            return Value("", output_field=CharField())
        case "model":
            return model_key(call)
        case "provider":
            return F(f"{call}provider_used")
        case "hour" | "day":
            return _period_key(f"{call}created_at", group_by)
        case _:
            return F(f"{call}{group_by}")


def roll_up_key(group_by: GroupBy | None) -> Combinable:
    """The same key, from a row of a roll-up."""
    match group_by:
        case None:
            return Value("", output_field=CharField())
        case "hour" | "day":
            return _period_key("hour", group_by)
        case _:
            return F(group_by)


def _period_key(field: str, group_by: str) -> Combinable:
    """The first characters of a time as text: its day and hour, in UTC, which is the time zone of every connection.

    Django's Trunc would be the usual way, but on SQLite it is a Python function: over 300,000 calls it took 17 s, and
    this takes 2.5 s.
    """
    return Substr(Cast(field, CharField()), 1, PERIOD_TEXT[group_by])
