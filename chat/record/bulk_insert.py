"""Many rows of a model in one statement, for the recorder.

Django's `bulk_create` makes an instance of each row and asks each of its fields several times for each value, which
takes most of the time of a batch. Here each column is looked at once. Figures: docs/decisions/0013.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field
from django.db.models.fields import NOT_PROVIDED

from chat.record.call_rows import Values

PLAIN = (models.CharField, models.TextField, models.BooleanField, models.IntegerField)
"""Fields whose values any database takes as they are."""


MAX_VALUES = 30_000
"""In one statement. SQLite takes 32,766 where nobody has built it for more."""


class Table:
    """Where rows of a model go. A row is values by the model's `attname`s; what is missing has its field's default."""

    def __init__(self, model: type[models.Model]) -> None:
        self._name = model._meta.db_table
        fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
        self._columns = [(field.attname, _default_of(field), _preparation_of(field)) for field in fields]
        self._names = [str(field.column) for field in fields]

    def insert(self, rows: Sequence[Values], *, unique: str = "", returning: Sequence[str] = ()) -> list[Any]:
        """Insert rows. A row whose `unique` column is there already takes the place of the old one.

        Gives the columns `returning` of each row, in any order. Raises django.db's errors.
        """
        at_once = MAX_VALUES // len(self._names)
        parts = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
        return [row for part in parts for row in self._insert(part, unique, returning)]

    def _insert(self, rows: Sequence[Values], unique: str, returning: Sequence[str]) -> list[Any]:
        # Django's `connection` looks up the thread's own one each time that it is asked for anything.
        database = connections[DEFAULT_DB_ALIAS]
        before, row, after = self._statement(unique, tuple(returning))
        with database.cursor() as cursor:
            cursor.execute(
                f"{before}{', '.join([row] * len(rows))}{after}",
                [value for values in rows for value in self._values(values, database)],
            )
            return cursor.fetchall() if returning else []

    @cache  # noqa: B019 - tables live as long as the process
    def _statement(self, unique: str, returning: Sequence[str]) -> tuple[str, str, str]:
        """What stands before the values, for the values of one row, and after them."""
        quote = connections[DEFAULT_DB_ALIAS].ops.quote_name
        names = ", ".join(map(quote, self._names))
        before = f"INSERT INTO {quote(self._name)} ({names}) VALUES "  # noqa: S608 - our own names
        row = f"({', '.join(['%s'] * len(self._names))})"
        after = ""
        if unique:
            replaced = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in self._names if name != unique)
            after += f" ON CONFLICT ({quote(unique)}) DO UPDATE SET {replaced}"
        if returning:
            after += f" RETURNING {', '.join(map(quote, returning))}"
        return before, row, after

    def _values(self, row: Values, database: BaseDatabaseWrapper) -> list[Any]:
        return [
            value if (value := row.get(name, default)) is None or prepare is None else prepare(value, database)
            for name, default, prepare in self._columns
        ]


def _default_of(field: Field[Any, Any]) -> Any:
    """What a row has that was written before the field was there. Taken once: every row brings its own `created_at`."""
    if field.db_default is not NOT_PROVIDED:
        return field.db_default.value if isinstance(field.db_default, models.Value) else field.db_default
    return field.get_default()


def _preparation_of(field: Field[Any, Any]) -> Callable[[Any, BaseDatabaseWrapper], Any] | None:
    return None if isinstance(field, PLAIN) else field.get_db_prep_save
