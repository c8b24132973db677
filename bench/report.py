"""Makes tables in Markdown, and puts them into docs/benchmarks.md, between the two markers with their name."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

Round = TypeVar("Round")

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def median(rounds: Sequence[Round], value_of: Callable[[Round], float | None]) -> float | None:
    """Return the median of `value_of` over the rounds. Rounds for which it is None are left out."""
    values = [value for value in map(value_of, rounds) if value is not None]
    return statistics.median(values) if values else None


def number(value: float | None, unit: str = "") -> str:
    """Write a number with three significant digits, or a dash if it was not measured."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{f' {unit}' if unit else ''}"


def write(name: str, text: str) -> None:
    """Print the text, and put it into the document. Raises LookupError if the document has no place with this name."""
    print(f"\n{text}\n")
    begin, end = f"<!-- {name}: written by `make` -->", f"<!-- end of {name} -->"
    document = DOCUMENT.read_text()
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not place.search(document):
        raise LookupError(f"{DOCUMENT} has no place for {name}")
    DOCUMENT.write_text(place.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", document))
