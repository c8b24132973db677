"""`python -m tests.ledger --seed 1 --calls 500` prints the table of a run."""

from __future__ import annotations

import argparse
import time

from tests.ledger.driver.matching import match
from tests.ledger.driver.run import run
from tests.ledger.driver.table import table


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare our rows with an independent ledger.")
    parser.add_argument("--seed", type=int, default=1, help="all chance comes from it")
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on, into one table")
    parser.add_argument("--wrong", type=int, default=0, help="how many of the largest errors to list")
    parser.add_argument("--cold", action="store_true", help="begin with a service that knows no model's speed")
    options = parser.parse_args()
    began = time.monotonic()
    pairs = []
    for seed in range(options.seed, options.seed + options.seeds):
        done = run(seed, options.calls, warm=not options.cold)
        pairs += match(done.lines, done.attempts)
        print(f"seed {seed}: our calls cost {done.rows_usd} USD, /stats says {done.stats_usd}")
    print(f"{options.calls} calls for each seed, {time.monotonic() - began:.0f} s\n\n{table(pairs)}")
    pairs = [pair for pair in pairs if not pair.is_warm_up]
    for pair in sorted(pairs, key=lambda pair: -abs(pair.error_usd))[: options.wrong]:
        print(f"{pair.error_usd:+.8f}\n    {pair.line}\n    {pair.row}")


if __name__ == "__main__":
    main()
