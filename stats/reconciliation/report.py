"""A comparison of books as a table of text."""

from __future__ import annotations

from collections.abc import Iterator

from stats.reconciliation.comparison import Comparison, Line

HEADINGS = ("day", "model", "ours USD", "theirs USD", "drift USD", "drift", "requests", "input tokens", "output tokens")

# How many of the columns are names, which stand on the left. Numbers stand on the right.
NAMES = 2


def table(comparison: Comparison, *, with_usage: bool) -> Iterator[str]:
    """The lines of the table. With `with_usage`, the last columns have our counts and theirs, with a slash between."""
    columns = len(HEADINGS) if with_usage else len(HEADINGS) - 3
    rows = [_cells(line) for line in (*comparison.lines, *comparison.sums, comparison.whole)]
    table_rows = [HEADINGS[:columns], *(row[:columns] for row in rows)]
    widths = [max(len(row[column]) for row in table_rows) for column in range(columns)]
    for row in table_rows:
        cells = (
            cell.ljust(width) if column < NAMES else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def percent(ratio: float) -> str:
    """A ratio in per cent, with its sign."""
    return f"{ratio * 100:+.2f} %"


def _cells(line: Line) -> tuple[str, ...]:
    ours, theirs = line.ours, line.theirs
    return (
        "all days" if line.day is None else line.day.isoformat(),
        line.name,
        f"{ours.usd:,.6f}",
        f"{theirs.usd:,.6f}",
        f"{line.drift_usd:+,.6f}",
        percent(line.drift_ratio),
        f"{ours.requests:,}/{theirs.requests:,}",
        f"{ours.prompt_tokens:,}/{theirs.prompt_tokens:,}",
        f"{ours.completion_tokens:,}/{theirs.completion_tokens:,}",
    )
