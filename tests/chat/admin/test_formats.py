"""How the pages write numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from chat.admin import formats


@pytest.mark.parametrize(
    ("amount", "estimated", "written"),
    [
        (None, False, "unknown"),
        ("0", False, "$0"),
        ("0.000123", False, "$0.000123"),
        ("0.000123", True, "~$0.000123"),
        ("0.0001234567", False, "$0.000123"),
        ("0.0000000001", False, "$0.0000000001"),
        ("0.5", False, "$0.50"),
        ("0.9999", False, "$1.00"),
        ("12.345", False, "$12.35"),
        ("1234567.8", False, "$1,234,567.80"),
    ],
)
def test_costs_are_written_with_sensible_digits(amount: str | None, estimated: bool, written: str) -> None:
    assert formats.cost(None if amount is None else Decimal(amount), estimated=estimated) == written


@pytest.mark.parametrize(
    ("estimated", "incomplete", "short", "exact"),
    [
        (False, False, "$0.00123", "$0.0012345"),
        (True, False, "~$0.00123", "~$0.0012345 (estimated)"),
        (False, True, "≥ $0.00123", "at least $0.0012345 (a part has no known price)"),
        (True, True, "≥ ~$0.00123", "at least ~$0.0012345 (estimated, a part has no known price)"),
    ],
)
def test_a_guess_and_a_part_of_a_cost_have_their_signs(
    estimated: bool, incomplete: bool, short: str, exact: str
) -> None:
    amount = Decimal("0.0012345")
    assert formats.cost(amount, estimated=estimated, incomplete=incomplete) == short
    assert formats.exact_cost(amount, estimated=estimated, incomplete=incomplete) == exact
    assert formats.cost(None, estimated=estimated, incomplete=incomplete) == "unknown"
