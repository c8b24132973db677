"""Reads environment variables for the settings: each by its kind, within its range."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import environ

from orchestration_site.setting_values import numbers
from orchestration_site.setting_values.errors import SettingError, quoted

T = TypeVar("T")

# The methods of django-environ that are replaced here have the names of these types.
Bool: TypeAlias = bool
Int: TypeAlias = int
Float: TypeAlias = float


class Environment(environ.Env):
    """Reads variables. Each method raises SettingError for a value that it can't read, or that is out of range.

    Spaces and line breaks around a value do not count. A variable that is empty then counts as one that is not set, so
    that an unchanged copy of `.env.example` works as `.env`. A `$` is a `$`: django-environ takes a value that begins
    with one for the name of another variable.

    asked: the names of all variables that have been asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: Bool = False
    ) -> Any:
        self.asked.add(var)
        value = (self.ENVIRON.get(var) or "").strip()
        if not value:
            if default is environ.Env.NOTSET:
                raise SettingError(var, "is not set.")
            return default
        return value

    def bool(self, var: str, default: Bool) -> Bool:
        return self._read(var, default, numbers.read_bool)

    def int(self, var: str, default: Int, *, at_least: Int, at_most: Int) -> Int:
        return self._read(var, default, lambda written: numbers.read_int(written, at_least=at_least, at_most=at_most))

    def float(self, var: str, default: Float, *, at_least: Float, at_most: Float) -> Float:
        return self._read(var, default, lambda written: numbers.read_float(written, at_least=at_least, at_most=at_most))

    def duration(self, var: str, default: Float, *, at_most: Float, at_least: Float = 0.0) -> Float:
        """Seconds, from `30`, `30s`, `5m`, `500ms`, `1h` or `7d`."""
        return self._read(var, default, lambda text: numbers.read_duration(text, at_least=at_least, at_most=at_most))

    def days(self, var: str, default: Int, *, at_most: Int) -> Int:
        """Whole days, from `30` or `30d`."""
        return self._read(var, default, lambda written: numbers.read_days(written, at_most=at_most))

    def choice(self, var: str, default: str, choices: Collection[str]) -> str:
        return self._read(var, default, lambda written: numbers.read_choice(written, choices))

    def list(
        self,
        var: str,
        default: Any,
        *,
        item: str = "",
        pattern: str = r"[^\s;]+",
        parse: Callable[[Any], Any] = lambda items: items,
    ) -> Any:
        """The items between commas, without the spaces around them. `item` says what an item is.

        A ValueError of `parse` must say what they must be.
        """
        written = self.get_value(var, default=None)
        if written is None:
            return default
        items = [part.strip() for part in written.split(",") if part.strip()]
        for number, part in enumerate(items, 1):
            if not re.fullmatch(pattern, part):
                says = f"It must be {item}. " if item else ""
                raise SettingError(
                    var, f"can't be read: item {number} is {quoted(part)}. {says}Write commas between items."
                )
        try:
            return parse(items)
        except ValueError as error:
            raise SettingError(var, f"can't be read: {error}") from None

    def folder(self, var: str, default: str, *, base: Path) -> Path:
        return resolve(self.get_value(var, default=default), base=base)

    def parsed(self, var: str, parse: Callable[[str], T], default: str = "") -> T:
        """What `parse` makes of the text. A ValueError of it must say what the text must be."""
        written = str(self.get_value(var, default=default))
        try:
            return parse(written)
        except ValueError as error:
            raise SettingError(var, f"can't be read: {error}") from None

    def _read(self, var: str, default: T, read: Callable[[str], T]) -> T:
        written = self.get_value(var, default=None)
        if written is None:
            return default
        try:
            return read(written)
        except ValueError as error:
            raise SettingError(var, f"is {quoted(written)}, but it must be {error}.") from None


def resolve(written: str, *, base: Path) -> Path:
    """A path as it is meant: a relative one begins in `base`, and `~` is the home folder."""
    path = Path(written.strip())
    return base / (path.expanduser() if path.parts and path.parts[0] == "~" else path)


def checked_by(parse: Callable[[T], object]) -> Callable[[T], T]:
    """A function that returns its argument as it is, once `parse` has read it without a ValueError."""

    def check(written: T) -> T:
        parse(written)
        return written

    return check
