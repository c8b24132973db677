"""Lengths of time on the command line."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta

import pytest

from access.ages import parse_age


@pytest.mark.parametrize("written", ["", "soon", "30", "d", "-1d", "1.5d", "30 d", "1y", "1234567d"])
def test_what_is_no_age_is_refused_with_the_units_that_are(written: str) -> None:
    with pytest.raises(ArgumentTypeError, match="Write a whole number and m, h, d or w"):
        parse_age(written)


def test_a_unit_that_a_command_does_not_accept_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="Write a whole number and h or d,"):
        parse_age("30m", units="hd")


@pytest.mark.parametrize("written", ["36501d", "999999w"])
def test_an_age_beyond_a_hundred_years_is_refused(written: str) -> None:
    with pytest.raises(ArgumentTypeError, match="The longest age is 36500d"):
        parse_age(written)


def test_ages_are_read() -> None:
    assert parse_age("30m") == timedelta(minutes=30)
    assert parse_age("24h") == timedelta(hours=24)
    assert parse_age("36500d") == timedelta(days=36500)
    assert parse_age("8w") == timedelta(weeks=8)
