"""Lists that come a few entries at a time."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from llm.operations.accumulation.growing import Record, Value, index_of


class Row:
    """A list whose entries come a few at a time."""

    def __init__(self) -> None:
        self._entries: list[Any] | None = None
        self._odd: Any = None

    def add(self, value: Any) -> None:
        if isinstance(value, list):
            self._entries = self._entries or []
            self._entries += self._new(value)
        elif value is not None:
            self._odd = value

    def whole(self) -> Any:
        return self._odd if self._entries is None else list(self._entries)

    def _new(self, entries: list[Any]) -> list[Any]:
        return entries


class DistinctRow(Row):
    """A list in which the same entry twice is one that was repeated: sources, images."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[bytes] = set()

    def _new(self, entries: list[Any]) -> list[Any]:
        # A digest, because an image may be megabytes long.
        marked = {blake2b(json.dumps(entry, sort_keys=True).encode()).digest(): entry for entry in entries}
        new = [entry for mark, entry in marked.items() if mark not in self._known]
        self._known |= marked.keys()
        return new


class LooseValue(Value):
    """A field of a delta that nobody knows. Its lists are pieces: entries with the same `index` are one, others are
    appended, because what a delta says once it does not say again."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Any] = []
        self._at: dict[int, Record] = {}

    def add(self, value: Any) -> None:
        if not isinstance(value, list) or not value:
            super().add(value)
            return
        for entry in value:
            index = index_of(entry)
            if index is None:
                self._rows.append(entry)
                continue
            if index not in self._at:
                self._at[index] = Record({}, LooseValue)
                self._rows.append(self._at[index])
            self._at[index].add(entry)

    def whole(self) -> Any:
        # An empty list beside entries is no later word than they are.
        if not self._rows:
            return super().whole()
        return [row.whole() if isinstance(row, Record) else row for row in self._rows]
