"""Our rows beside the bill of an independent ledger, over random calls through every door of a real service.

Run with `-s` to see the tables, or `python -m tests.ledger` for one of them. docs/ledger.md says what they show.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache

import pytest

from tests.ledger.driver.matching import Kind, Pair, kind_of, match
from tests.ledger.driver.run import Run, run
from tests.ledger.driver.table import ratio, table

SEEDS = (1, 2, 3, 4, 5)
CALLS = 400

# How far the sum may be from the bill, in parts of it.
WITHIN = Decimal("0.01")

# A run takes a quarter of a minute, and the last test may need all of them.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

each_seed = pytest.mark.parametrize("seed", SEEDS)


@dataclass(frozen=True, slots=True)
class Compared:
    run: Run
    pairs: tuple[Pair, ...]


@cache
def compared(seed: int) -> Compared:
    """The run of a seed, which several tests look at."""
    done = run(seed, CALLS)
    pairs = tuple(match(done.lines, done.attempts))
    print(f"\nseed {seed}, {CALLS} calls\n{table(pairs)}")
    return Compared(done, pairs)


@each_seed
def test_every_request_that_reached_the_provider_has_a_row(seed: int) -> None:
    pairs = compared(seed).pairs
    assert len(pairs) > CALLS
    assert [pair for pair in pairs if kind_of(pair) is Kind.MISSING] == []


@each_seed
def test_what_the_provider_has_told_is_priced_to_the_last_digit(seed: int) -> None:
    told = [pair for pair in compared(seed).pairs if pair.is_told]
    assert len(told) > CALLS / 2
    wrong = [pair for pair in told if not pair.is_exact]
    assert wrong == [], f"{len(wrong)} of {len(told)}: {[(kind_of(pair).value, pair.error_usd) for pair in wrong]}"


@each_seed
def test_what_the_provider_has_told_is_on_record_count_by_count(seed: int) -> None:
    told = [pair for pair in compared(seed).pairs if pair.is_told]
    assert [pair for pair in told if not pair.counts_are_exact] == []


@each_seed
def test_what_is_told_to_a_call_that_nobody_hurries_is_read(seed: int) -> None:
    done = compared(seed)
    missed = [pair for pair in done.pairs if pair.is_missed and pair.row.request_id not in done.run.hurried]
    assert missed == []


@each_seed
def test_a_refusal_that_has_come_costs_nothing(seed: int) -> None:
    refused = [pair for pair in compared(seed).pairs if kind_of(pair) is Kind.REFUSED]
    came = [pair for pair in refused if pair.row is not None and pair.row.upstream_request_id]
    assert came
    assert [pair for pair in came if pair.ours_usd] == []


@each_seed
def test_the_statistics_say_what_the_rows_say(seed: int) -> None:
    done = compared(seed).run
    assert done.stats_usd == done.rows_usd > 0


@each_seed
def test_a_call_costs_what_its_attempts_cost(seed: int) -> None:
    compared_run = compared(seed)
    assert compared_run.run.rows_usd == sum(pair.ours_usd for pair in compared_run.pairs)


def test_over_all_seeds_the_sum_is_within_one_per_cent_of_the_bill() -> None:
    pairs = [pair for seed in SEEDS for pair in compared(seed).pairs]
    print(f"\nseeds {SEEDS}, {CALLS} calls each\n{table(pairs)}")
    assert abs(ratio(pairs) - 1) <= WITHIN
