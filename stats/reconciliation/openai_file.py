"""Reads a file of OpenAI's costs: the CSV that one exports from its usage page, or saved answers of its API.

The columns of the export are found by their names. OpenAI describes the answers of its API, but not the export. Its
names were taken from exports that people have published.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from stats.reconciliation.books import Books, Entry, ReconcileError, no_books
from stats.reconciliation.names import bill_line
from stats.reconciliation.openai_pages import add_page, read_day, read_usd

# The columns that an export of costs must have. Of those for the day, one is enough.
AMOUNT, CURRENCY, ITEM, PROJECT = "amount_value", "amount_currency", "line_item", "project_id"
DAY_COLUMNS = ("start_time", "start_time_iso")
EXPECTED = f"the columns {AMOUNT}, {CURRENCY}, {ITEM}, and {' or '.join(DAY_COLUMNS)}"

# A larger file is refused. An export of 60 days has some 100 kB.
MAX_BYTES = 100 * 1024 * 1024


def read_file(path: Path, projects: Sequence[str] = ()) -> Books:
    """The books in a file; with `projects`, only those of projects with these ids. Raises ReconcileError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReconcileError(f"{path} has more than {MAX_BYTES:,} bytes.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReconcileError(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ReconcileError(f"{path} is no text in UTF-8.") from error
    books = no_books()
    try:
        if text.lstrip().startswith(("{", "[")):
            for page in _read_json(text):
                add_page(books, page, projects)
        else:
            _read_csv(books, text, projects)
    except ReconcileError as error:
        raise ReconcileError(f"{path}: {error}") from error
    return books


def _read_json(text: str) -> list[Any]:
    """The pages in a text: one page, a list of pages, or a page on each line."""
    try:
        saved = json.loads(text)
    except ValueError:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise ReconcileError("It is no JSON.") from error
    return saved if isinstance(saved, list) else [saved]


def _read_csv(books: Books, text: str, projects: Sequence[str]) -> None:
    first = text.split("\n", 1)[0]
    delimiter = max(",\t;", key=first.count)
    rows = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [(name or "").strip() for name in rows.fieldnames or ()]
        if not {AMOUNT, CURRENCY, ITEM} <= set(columns) or not set(DAY_COLUMNS) & set(columns):
            activity = " This is an export of the activity." if "num_model_requests" in columns else ""
            raise ReconcileError(f"It is no export of OpenAI's costs, which has {EXPECTED}.{activity}")
        if projects and PROJECT not in columns:
            raise ReconcileError(f"It has no column {PROJECT}, so projects can't be told apart.")
        rows.fieldnames = columns
        for row in rows:
            try:
                _add_row(books, row, projects)
            except ReconcileError as error:
                raise ReconcileError(f"Line {rows.line_num}: {error}") from error
    except csv.Error as error:
        raise ReconcileError(f"Line {rows.line_num}: {error}.") from error


def _add_row(books: Books, row: Mapping[str, str | None], projects: Sequence[str]) -> None:
    if row.get(AMOUNT) is None or row.get(CURRENCY) is None or row.get(ITEM) is None:
        raise ReconcileError("It has fewer columns than the first line.")
    if not (row[AMOUNT] or "").strip():
        return  # a day without any cost
    if not projects or (row.get(PROJECT) or "").strip() in projects:
        books[_day(row), bill_line(row[ITEM])].add(Entry(usd=read_usd(row[AMOUNT], row[CURRENCY])))


def _day(row: Mapping[str, str | None]) -> dt.date:
    seconds = (row.get("start_time") or "").strip()
    if seconds:
        return read_day(seconds.removesuffix(".0"))
    written = (row.get("start_time_iso") or "").strip()
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError as error:
        raise ReconcileError(f"start_time_iso is no date, but '{written[:30]}'.") from error
    return (moment if moment.tzinfo is None else moment.astimezone(dt.UTC)).date()
