"""Reads the pages of OpenAI's usage and costs, as its API answers with them and as people save them in files.

Source: OpenAI's OpenAPI description, /organization/costs and /organization/usage/….
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from stats.reconciliation.books import Books, Entry, ReconcileError
from stats.reconciliation.names import bill_line, model_line

# How the kinds of results begin and end that are read. What usage of other kinds costs is in the costs.
COSTS = "organization.costs.result"
USAGE = ("organization.usage.completions.result", "organization.usage.embeddings.result")

# No line of a bill is believed to be larger. The database's columns hold no more digits.
LARGEST_USD = Decimal(10**9)


def add_page(books: Books, page: Any, projects: Sequence[str] = ()) -> None:
    """Add the results of one page; with `projects`, only those of projects with these ids.

    Raises ReconcileError if it is no such page.
    """
    for day, result in _results(page):
        if projects and result.get("project_id") not in projects:
            continue
        kind = result.get("object")
        if kind == COSTS:
            amount = result.get("amount")
            amount = amount if isinstance(amount, Mapping) else {}
            cost = read_usd(amount.get("value"), amount.get("currency"))
            books[day, bill_line(result.get("line_item"))].add(Entry(usd=cost))
        elif kind in USAGE:
            books[day, model_line(str(result.get("model") or ""))].add(
                Entry(
                    requests=_count(result, "num_model_requests"),
                    prompt_tokens=_count(result, "input_tokens"),
                    completion_tokens=_count(result, "output_tokens"),
                )
            )


def read_usd(value: Any, currency: Any) -> Decimal:
    """An amount on the bill. Raises ReconcileError if it is no amount of US dollars."""
    if str(currency).strip().lower() != "usd":
        raise ReconcileError(f"An amount is not in USD, but in '{str(currency)[:20]}'.")
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or abs(amount) > LARGEST_USD:
        raise ReconcileError(f"An amount is no number, but '{str(value)[:20]}'.")
    return amount


def _results(page: Any) -> Iterator[tuple[dt.date, Mapping[str, Any]]]:
    """Each result of a page with its day."""
    if not isinstance(page, Mapping) or not isinstance(page.get("data"), list):
        raise ReconcileError("It is no page of OpenAI's usage or costs: it has no list 'data' of buckets.")
    for bucket in page["data"]:
        # OpenAI's older answers have the list under `result`.
        results = bucket.get("results", bucket.get("result")) if isinstance(bucket, Mapping) else None
        if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
            raise ReconcileError("A bucket of a page has no list 'results'.")
        day = read_day(bucket.get("start_time"))
        yield from ((day, result) for result in results)


def read_day(seconds: Any) -> dt.date:
    """The day in UTC of a time since the epoch. Raises ReconcileError."""
    try:
        return dt.datetime.fromtimestamp(int(seconds), dt.UTC).date()
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise ReconcileError(f"A start_time is no time in seconds, but '{str(seconds)[:20]}'.") from error


def _count(result: Mapping[str, Any], name: str) -> int:
    value = result.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        raise ReconcileError(f"{name} is no whole number, but '{str(value)[:20]}'.")
    return int(value)
