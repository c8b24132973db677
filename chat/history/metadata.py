"""Finding calls by the metadata that their callers gave them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Func, QuerySet, TextField, Value

from chat.models import CallRecord


class MetadataText(Func):
    """The text under a key of a JSON object. Django's own JSON paths would read a key of digits as an index."""

    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        (column, column_params), (key, key_params) = map(compiler.compile, self.get_source_expressions())
        text = f"(SELECT value FROM json_each({column}) WHERE key = {key} AND type = 'text')"  # noqa: S608
        return text, (*column_params, *key_params)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        (column, column_params), (key, key_params) = map(compiler.compile, self.get_source_expressions())
        return f"({column} ->> {key}::text)", (*column_params, *key_params)


def with_metadata(calls: QuerySet[CallRecord], pairs: Iterable[tuple[str, str]]) -> QuerySet[CallRecord]:
    """Those of the calls whose metadata has all these keys with these values."""
    for number, (key, value) in enumerate(pairs):
        # The key is a value in the query and never the name of a lookup, because a caller's key may hold anything,
        # also the double underscores that would mean something to Django.
        alias = f"metadata_{number}"
        calls = calls.alias(**{alias: MetadataText("metadata", Value(key))}).filter(**{alias: value})
    return calls
