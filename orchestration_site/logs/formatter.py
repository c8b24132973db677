"""The format of a log line: one JSON object, in which what looks like a key is redacted."""

from __future__ import annotations

import json
import logging
import math
import re
import time
import traceback
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import orjson

# What looks like a key. The pattern is applied to the finished line. So a match ends before a quote or a backslash, and
# a key may stand right after an escape (\n, \u00e9, %20). The word after "Bearer" is always redacted. A word that only
# contains "sk-", such as `task-1234`, is not a key.
SECRET = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<=%[0-9A-Fa-f]{2}))"
    r"(?:sk-[A-Za-z0-9_-]{4,}|gsk_[A-Za-z0-9]{16,}|xai-[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_-]{16,}"
    r"|[Bb](?i:earer)(?:[ :=+]|%20|\\[nrt])+[A-Za-z0-9._~+/=-]+)"
)
# Every match of SECRET contains one of these. A line without any of them is not searched, which saves 17 us.
_SECRET_HINTS = ("sk-", "gsk_", "xai-", "aiza", "bearer")
REDACTED = "[redacted]"

# The attributes that are not written as extras: those that every LogRecord has, uvicorn's color_message, which repeats
# the message, and json_line, in which we keep the finished line.
_NOT_EXTRA = frozenset(logging.makeLogRecord({}).__dict__) | {
    *("message", "asctime", "taskName", "color_message", "json_line")
}
# How deep a nested value is written as JSON. Anything deeper is written as its str(), so that a value which contains
# itself comes to an end.
_MAX_DEPTH = 5


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: timestamp (UTC, milliseconds), level, event, logger, each extra, exception.

    It never raises. A Decimal becomes a number, a datetime becomes ISO 8601, and any other object becomes its str(). An
    extra that has the name of a fixed field becomes `extra_<name>`.
    """

    def format(self, record: logging.LogRecord) -> str:
        # The console and the file write the same line, so it is formatted once and kept on the record.
        line: str | None = record.__dict__.get("json_line")
        if line is None:
            line = record.__dict__["json_line"] = self._line(record)
        return line

    def _line(self, record: logging.LogRecord) -> str:
        try:
            line = _encode(self._fields(record))
        except Exception as error:  # noqa: BLE001 - a log call must not raise into the service
            line = _encode(
                {
                    "timestamp": _utc(time.time()),
                    "level": "error",
                    "event": "log_record_unprintable",
                    "logger": _plain(record.name),
                    "error": type(error).__name__,
                }
            )
        lowered = line.lower()
        return SECRET.sub(REDACTED, line) if any(hint in lowered for hint in _SECRET_HINTS) else line

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields: dict[str, object] = {
            "timestamp": _utc(record.created),
            "level": record.levelname.lower(),
            "event": _message(record),
            "logger": record.name,
        }
        for name, value in record.__dict__.items():
            if name not in _NOT_EXTRA:
                key = f"extra_{name}" if name in fields or name == "exception" else name
                fields[_text(key)] = _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            trace = "".join(traceback.format_exception(error))
            fields["exception"] = {"type": type(error).__name__, "message": _plain(error), "traceback": _text(trace)}
        elif record.exc_text:
            fields["exception"] = {"traceback": _text(record.exc_text)}
        if record.stack_info:
            fields["stack"] = _text(record.stack_info)
        return fields


def _encode(fields: Mapping[str, object]) -> str:
    """Encode the fields as one line of ASCII, so that no character can break a line, a terminal or an encoding."""
    line = orjson.dumps(fields)
    return line.decode() if line.isascii() else json.dumps(fields, allow_nan=False, separators=(",", ":"))


def _utc(seconds: float) -> str:
    # The milliseconds are truncated and not rounded, so that the last half millisecond of a day stays in that day.
    whole, millis = divmod(int(seconds * 1000), 1000)
    return f"{_utc_second(whole)}.{millis:03d}Z"


@lru_cache(maxsize=4)  # many lines are written in the same second
def _utc_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _message(record: logging.LogRecord) -> str:
    try:
        return _text(record.getMessage())
    except Exception:  # noqa: BLE001 - the arguments do not fit the text, and the text alone is better than nothing
        return str(_plain(record.msg))


def _text(text: str) -> str:
    """The text, with U+FFFD in place of lone surrogates, which strict JSON readers refuse."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _plain(value: object, depth: int = 0) -> object:
    """The value, made of types that JSON has."""
    try:
        if isinstance(value, str):
            return _text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if value.bit_length() < 64 else str(value)
        if isinstance(value, (float, Decimal)):
            number = float(value)
            return number if math.isfinite(number) else str(value)
        if isinstance(value, datetime):
            return value.isoformat()
        if depth < _MAX_DEPTH and isinstance(value, dict):
            return {_text(str(key)): _plain(item, depth + 1) for key, item in value.items()}
        if depth < _MAX_DEPTH and isinstance(value, (list, tuple)):
            return [_plain(item, depth + 1) for item in value]
        return _text(str(value))
    except Exception:  # noqa: BLE001 - str() of a foreign object may do anything
        return f"[unprintable {type(value).__name__}]"
