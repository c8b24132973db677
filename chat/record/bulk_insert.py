"""Many rows of a model in one statement, for the recorder.

Django's `bulk_create` makes an instance of each row and asks each of its fields several times for each value. That took
most of the time of a batch. Here each column is looked at once. Why: docs/decisions/0013-speed.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field
from django.db.models.fields import NOT_PROVIDED

# One row: its values by the `attname` of their field.
Values = dict[str, Any]


class Written(str):
    """JSON that is written already, for a field of JSON. It goes into the database as it is."""


# The fields whose values every database takes as they are.
PLAIN = (models.CharField, models.TextField, models.BooleanField, models.IntegerField)

# The most values in one statement. SQLite takes 32,766 of them, unless it was built to take more.
MAX_VALUES = 30_000


class Table:
    """The table of a model. A value that is missing in a row is the default of its field."""

    def __init__(self, model: type[models.Model]) -> None:
        self._name = model._meta.db_table
        fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
        self._columns = [(field.attname, _default_of(field), _preparation_of(field)) for field in fields]
        self._names = [str(field.column) for field in fields]

    def insert(
        self,
        rows: Sequence[Values],
        *,
        unique: str = "",
        only_if_same: Sequence[str] = (),
        returning: Sequence[str] = (),
    ) -> list[Any]:
        """Insert rows. Returns the columns `returning` of each row, in any order. Raises django.db's errors.

        With `unique`, a new row takes the place of an old one that has the same value in that column. With
        `only_if_same` it does so only if both have the same values in these columns. Otherwise the old row stays, and
        nothing is returned for the new one, which is not written.
        """
        at_once = MAX_VALUES // len(self._names)
        parts = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
        return [row for part in parts for row in self._insert(part, unique, tuple(only_if_same), returning)]

    def _insert(
        self, rows: Sequence[Values], unique: str, only_if_same: tuple[str, ...], returning: Sequence[str]
    ) -> list[Any]:
        # Django's `connection` looks up the connection of the thread each time that an attribute of it is used.
        database = connections[DEFAULT_DB_ALIAS]
        before, row, after = self._statement(unique, only_if_same, tuple(returning))
        with database.cursor() as cursor:
            cursor.execute(
                f"{before}{', '.join([row] * len(rows))}{after}",
                [value for values in rows for value in self._values(values, database)],
            )
            return cursor.fetchall() if returning else []

    @cache  # noqa: B019 - tables live as long as the process
    def _statement(
        self, unique: str, only_if_same: tuple[str, ...], returning: tuple[str, ...]
    ) -> tuple[str, str, str]:
        """The statement in three parts: what is before the values, the places of one row, what is after the values."""
        quote = connections[DEFAULT_DB_ALIAS].ops.quote_name
        names = ", ".join(map(quote, self._names))
        before = f"INSERT INTO {quote(self._name)} ({names}) VALUES "  # noqa: S608 - our own names
        row = f"({', '.join(['%s'] * len(self._names))})"
        after = ""
        if unique:
            replaced = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in self._names if name != unique)
            after += f" ON CONFLICT ({quote(unique)}) DO UPDATE SET {replaced}"
        if only_if_same:
            same = (f"{quote(self._name)}.{quote(name)} = EXCLUDED.{quote(name)}" for name in only_if_same)
            after += f" WHERE {' AND '.join(same)}"
        if returning:
            after += f" RETURNING {', '.join(map(quote, returning))}"
        return before, row, after

    def _values(self, row: Values, database: BaseDatabaseWrapper) -> list[Any]:
        return [
            value if (value := row.get(name, default)) is None or prepare is None else prepare(value, database)
            for name, default, prepare in self._columns
        ]


def _default_of(field: Field[Any, Any]) -> Any:
    """The value for rows that do not bring one: those of a spool file that was written before the field existed.

    It is taken once for all rows. That is fine for `created_at`, too, because every row brings its own.
    """
    if field.db_default is not NOT_PROVIDED:
        return field.db_default.value if isinstance(field.db_default, models.Value) else field.db_default
    return field.get_default()


def _preparation_of(field: Field[Any, Any]) -> Callable[[Any, BaseDatabaseWrapper], Any] | None:
    if isinstance(field, models.JSONField):
        return lambda value, database: (
            str(value) if isinstance(value, Written) else field.get_db_prep_save(value, database)
        )
    return None if isinstance(field, PLAIN) else field.get_db_prep_save
