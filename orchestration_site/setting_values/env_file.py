"""Reads the file `.env` as python-dotenv and Docker Compose read one, but takes a `$` as itself.

Docker Compose puts another variable in the place of `$NAME`. A password or key may contain a `$`, so here it stays.
"""

from __future__ import annotations

import io
import re
from collections.abc import MutableMapping
from pathlib import Path

from orchestration_site.compat import env_file_lines
from orchestration_site.setting_values.errors import SettingError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_env_file(path: Path, environment: MutableMapping[str, str]) -> dict[str, str]:
    """Add what the file sets to the environment. A variable that is there already stays as it is.

    An empty value is not added. It means the same to us, and other libraries take an empty SSL_CERT_FILE for a name.

    Returns what the file sets, which is nothing if there is no such file. Raises SettingError, which names the line.
    """
    found = read_env_file(path)
    for name, value in found.items():
        if value:
            environment.setdefault(name, value)
    return found


def read_env_file(path: Path) -> dict[str, str]:
    """What the file sets. The last line counts for a name that it has twice."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingError(path.name, f"can't be read: {error.strerror}.") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise SettingError(path.name, f"can't be read: line {number} is not UTF-8.") from None
    found: dict[str, str] = {}
    for number, name, value, is_wrong in env_file_lines(io.StringIO(text)):
        if is_wrong:
            raise SettingError(
                path.name,
                f"can't be read: line {number} is not NAME=value. A value with quotation marks must end with the same "
                "mark, and only a comment may follow it.",
            )
        if name is None:  # the line is empty, or a comment
            continue
        if not NAME.fullmatch(name):
            raise SettingError(
                path.name, f"can't be read: line {number} has a name that is not letters, digits and underscores."
            )
        if value is None:
            raise SettingError(path.name, f"can't be read: line {number} has no = behind {name}.")
        if "\n" in value or "\r" in value or "\0" in value:
            raise SettingError(
                path.name,
                f"can't be read: the value of {name}, in line {number}, has a line break. Is a quotation mark missing?",
            )
        found[name] = value
    return found
