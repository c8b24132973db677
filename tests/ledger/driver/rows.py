"""Our rows, read from the database file of a running service."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.ledger.upstream.prices import Searches, Tokens

# The column has ten decimal places. SQLite gives them as a float.
PLACES = Decimal("0.0000000001")

ATTEMPTS = """
SELECT attempt.*, call.request_id, call.status AS call_status
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
    tier: str
    # None where there are no counts. `estimated` means that they are our own.
    tokens: Tokens | None
    searches: Searches
    estimated: bool
    # None where it is not known, and also where nothing was billed.
    cost_usd: Decimal | None


class Rows:
    def __init__(self, database: Path) -> None:
        self._database = database

    def open_calls(self) -> int:
        """How many calls run, or are read on."""
        query = "SELECT count(*) AS n FROM chat_callrecord WHERE status = 'in_progress' OR lease_until IS NOT NULL"
        return int(self._read(query)[0]["n"])

    def calls(self) -> int:
        return int(self._read("SELECT count(*) AS n FROM chat_callrecord")[0]["n"])

    def total_usd(self) -> Decimal:
        """The sum over the calls whose cost is known."""
        rows = self._read("SELECT cost_usd FROM chat_callrecord WHERE cost_usd IS NOT NULL")
        return sum((_decimal(row["cost_usd"]) for row in rows), Decimal(0))

    def attempts(self) -> list[AttemptRow]:
        return list(map(_attempt, self._read(ATTEMPTS)))

    def _read(self, query: str) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self._database, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query).fetchall()


def _attempt(row: sqlite3.Row) -> AttemptRow:
    counts = None if row["prompt_tokens"] is None else _tokens(row)
    return AttemptRow(
        request_id=row["request_id"],
        call_status=row["call_status"],
        ordinal=row["ordinal"],
        model=row["model"],
        status=row["status"],
        error_code=row["error_code"],
        raced=bool(row["raced"]),
        read_on=bool(row["read_on"]),
        upstream_request_id=row["upstream_request_id"],
        tier=row["service_tier"],
        tokens=counts,
        searches=Searches(web=row["web_searches"] or 0, file=row["file_searches"] or 0),
        estimated=bool(row["usage_estimated"]),
        cost_usd=None if row["cost_usd"] is None else _decimal(row["cost_usd"]),
    )


def _tokens(row: sqlite3.Row) -> Tokens:
    return Tokens(
        prompt=row["prompt_tokens"],
        completion=row["completion_tokens"] or 0,
        cached=row["cached_tokens"] or 0,
        written=row["cache_write_tokens"] or 0,
        reasoning=row["reasoning_tokens"] or 0,
        audio_in=row["audio_prompt_tokens"] or 0,
        audio_out=row["audio_completion_tokens"] or 0,
    )


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value)).quantize(PLACES)
