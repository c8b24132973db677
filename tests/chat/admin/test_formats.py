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
