"""Our rows, read from the database file of a running service."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

# The column has ten decimal places. SQLite gives them as a float.
PLACES = Decimal("0.0000000001")

ATTEMPTS = """
SELECT call.request_id, call.status, attempt.ordinal, attempt.model, attempt.status, attempt.error_code, attempt.raced,
       attempt.read_on, attempt.upstream_request_id, attempt.prompt_tokens, attempt.usage_estimated, attempt.cost_usd
FROM chat_attempt AS attempt JOIN chat_callrecord AS call ON call.id = attempt.call_id
WHERE attempt.status != 'skipped' ORDER BY call.id, attempt.ordinal
"""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    request_id: str
    call_status: str
    ordinal: int
    model: str
    status: str
    error_code: str
    raced: bool
    read_on: bool
    upstream_request_id: str
    # Whether there are token counts at all, and whether they are our own.
    has_usage: bool
    estimated: bool
    # None where it is not known, and also where nothing was billed.
    cost_usd: Decimal | None


class Rows:
    def __init__(self, database: Path) -> None:
        self._database = database

    def open_calls(self) -> int:
        """How many calls run, or are read on."""
        query = "SELECT count(*) FROM chat_callrecord WHERE status = 'in_progress' OR lease_until IS NOT NULL"
        return int(self._read(query)[0][0])

    def calls(self) -> int:
        return int(self._read("SELECT count(*) FROM chat_callrecord")[0][0])

    def total_usd(self) -> Decimal:
        """The sum over the calls whose cost is known."""
        costs = self._read("SELECT cost_usd FROM chat_callrecord WHERE cost_usd IS NOT NULL")
        return sum((_decimal(cost) for (cost,) in costs), Decimal(0))

    def attempts(self) -> list[AttemptRow]:
        return list(map(_attempt, self._read(ATTEMPTS)))

    def _read(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self._database, timeout=30)) as connection:
            return connection.execute(query).fetchall()


def _attempt(row: tuple[object, ...]) -> AttemptRow:
    values: Iterator[object] = iter(row)
    request_id, call_status = str(next(values)), str(next(values))
    ordinal = int(str(next(values)))
    model, status, error_code = (str(next(values)) for _ in range(3))
    raced, read_on = bool(next(values)), bool(next(values))
    upstream_request_id = str(next(values))
    has_usage, estimated, cost = next(values) is not None, bool(next(values)), next(values)
    return AttemptRow(
        request_id=request_id,
        call_status=call_status,
        ordinal=ordinal,
        model=model,
        status=status,
        error_code=error_code,
        raced=raced,
        read_on=read_on,
        upstream_request_id=upstream_request_id,
        has_usage=has_usage,
        estimated=estimated,
        cost_usd=None if cost is None else _decimal(cost),
    )


def _decimal(value: object) -> Decimal:
    return Decimal(str(value)).quantize(PLACES)
