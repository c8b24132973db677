"""What is wrong with a setting, in one line that names the variable."""

from __future__ import annotations

import re

from django.core.exceptions import ImproperlyConfigured

# What an error may quote of a value. A longer text may be a key or a password that was put into the wrong variable.
QUOTABLE = re.compile(r"[\w .,:;|/%+*<>=-]{1,24}", re.ASCII)


class SettingError(ImproperlyConfigured):
    """A variable that can't be read, or that makes no sense. Its text is one line, without anything secret."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable} {' '.join(problem.split())}")
        self.variable = variable


def quoted(value: str) -> str:
    """The value in quotation marks if it is short and plain, else the words "a value that is not shown here"."""
    looks_secret = value.strip().lower().startswith(("sk-", "gsk_")) or (len(value) > 12 and value.isalnum())
    return f"'{value}'" if QUOTABLE.fullmatch(value) and not looks_secret else "a value that is not shown here"
