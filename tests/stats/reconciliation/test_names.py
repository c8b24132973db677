"""Our names of models, and those on the bill."""

from __future__ import annotations

import pytest

from stats.reconciliation.names import UNNAMED, bill_line, model_line


@pytest.mark.parametrize(
    ("ours", "bill"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06, input"),
        ("gpt-4o", "gpt-4o-2024-11-20, cached input"),
        ("gpt-4o", "GPT-4o, Output"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13, input"),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18, output"),
        ("text-embedding-3-small", "text-embedding-3-small, input"),
        ("nobody-knows-it", "nobody-knows-it-2026-01-31, input"),
        ("ft:gpt-4o-2024-08-06:us::abc", "ft-gpt-4o-2024-08-06, input"),
    ],
)
def test_a_model_and_its_items_on_the_bill_are_one_line(ours: str, bill: str) -> None:
    assert model_line(ours) == bill_line(bill)


def test_a_snapshot_with_a_price_of_its_own_is_a_line_of_its_own() -> None:
    assert model_line("gpt-4o-2024-05-13") != model_line("gpt-4o")


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (None, UNNAMED),
        (" ", UNNAMED),
        ("web search tool calls", "web search tool calls"),
        ("assistants api | file search", "assistants api | file search"),
    ],
)
def test_what_is_no_model_keeps_its_name(item: str | None, line: str) -> None:
    assert bill_line(item) == line
