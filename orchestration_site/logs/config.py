"""Logs: one JSON object a line, on the console and in `app.log`, which at local midnight becomes `app-YYYY-MM-DD.log`.

A line belongs to the day of its own timestamp, in the time zone of the process (Django sets that to TIME_ZONE).
Prompts, answers and keys are never logged: what the SDKs say below WARNING is dropped, and what looks like a key is
redacted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any

import orjson

if sys.platform != "win32":
    import fcntl

__all__ = ["JsonFormatter", "MidnightFileHandler", "SdkDebugFilter", "log_file_error", "logging_config"]

# What looks like a key. It is applied to the finished line, so it ends before every quote and backslash, and a key may
# follow the last letter of an escape (\n, \u00e9, %20); `task-1234` is none. The word after "Bearer" always goes.
SECRET = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<=%[0-9A-Fa-f]{2}))"
    r"(?:sk-[A-Za-z0-9_-]{4,}|gsk_[A-Za-z0-9]{16,}|xai-[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_-]{16,}"
    r"|[Bb](?i:earer)(?:[ :=+]|%20|\\[nrt])+[A-Za-z0-9._~+/=-]+)"
)
_SECRET_HINTS = ("sk-", "gsk_", "xai-", "aiza", "bearer")  # each match has one: a line without is not searched (17 us)
REDACTED = "[redacted]"

# What every LogRecord has by itself; all the rest came in by `extra`. uvicorn's color_message repeats its message.
_NOT_EXTRA = frozenset(logging.makeLogRecord({}).__dict__) | {
    *("message", "asctime", "taskName", "color_message", "json_line")
}
_MAX_DEPTH = 5


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp (UTC, milliseconds), level, event, logger, every `extra`, exception.

    Never raises. Decimal becomes a number, datetime ISO 8601, any other object its str(). An extra that has the name of
    one of the fixed fields becomes `extra_<name>`.
    """

    def format(self, record: logging.LogRecord) -> str:
        # The console and the file have the same line.
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
    """One line of ASCII: no character can break a line, a terminal or an encoding."""
    line = orjson.dumps(fields)
    return line.decode() if line.isascii() else json.dumps(fields, allow_nan=False, separators=(",", ":"))


def _utc(seconds: float) -> str:
    # Truncated, never rounded: a line of the last half millisecond of a day keeps its day.
    whole, millis = divmod(int(seconds * 1000), 1000)
    return f"{_utc_second(whole)}.{millis:03d}Z"


@lru_cache(maxsize=4)  # a second has many lines
def _utc_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _message(record: logging.LogRecord) -> str:
    try:
        return _text(record.getMessage())
    except Exception:  # noqa: BLE001 - arguments that do not fit the text: the text alone is better than nothing
        return str(_plain(record.msg))


def _text(text: str) -> str:
    """The text with lone surrogates, which strict JSON readers refuse, as U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _plain(value: object, depth: int = 0) -> object:
    """The value as JSON types."""
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


class MidnightFileHandler(TimedRotatingFileHandler):
    """`app.log`, at local midnight renamed to `app-YYYY-MM-DD.log` (the day that it holds), safe with many processes.

    The file is opened, renamed and started under flock on `app.log.lock`, and its first line is written before the lock
    is let go, so that whoever opens it next reads its day from that line. Before each line the path's inode is
    compared. A line that comes late (another process has renamed the file since) is added to the file of its own day.
    A service that was down at midnight renames on its first line.

    The stdlib's own rollover is replaced as a whole: with several processes 3.11 and 3.12 destroy a day and 3.13 writes
    into the wrong one. Without flock (Windows) one process may use the file; where the file system refuses a lock,
    nothing is renamed and `last_error` says so.

    retention_days: dated files older than so many days are removed, by their exact name; 0 keeps all.
    now: the clock for retention and doRollover(); a line's day comes from its record.
    last_error: why the latest line was not written, or the file not renamed; None again after a success.
    """

    def __init__(
        self, filename: str | os.PathLike[str], *, retention_days: int = 30, now: Callable[[], float] = time.time
    ) -> None:
        if retention_days < 0:
            raise ValueError("retention_days must be 0 (keep all) or more")
        super().__init__(filename, when="midnight", backupCount=retention_days, encoding="utf-8", delay=True)
        self.last_error: str | None = None
        self._now = now
        self._path = Path(self.baseFilename)
        self._day = ""  # the day that the open file holds
        self._identity = (0, 0)  # its device and inode
        self._torn = False  # the disk took only a part of the latest line
        self._swept_on = ""
        self._upkeep_error: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # Written from the event loop on purpose: one write() a line into the page cache takes microseconds, and a queue
        # would lose its lines in a crash.
        try:
            line = (self.format(record) + "\n").encode("utf-8", "replace")
            if self.stream is None or self.shouldRollover(record):
                with self._exclusive() as may_rename:
                    self._write_and_open(_local_day(record.created), line, may_rename=may_rename)
            else:
                self._write(self.stream.fileno(), line)
            self.last_error = self._upkeep_error
        except Exception as error:  # noqa: BLE001 - a full disk must not take the service down
            told = self.last_error is not None
            self.last_error = _describe(error)
            self._let_go()
            if not told:  # once for a run of failures: a traceback for every line would be a second failure
                self.handleError(record)

    def shouldRollover(self, record: logging.LogRecord) -> int:
        """Whether the open file is not the one for this record: another day's, moved away, or none."""
        if _local_day(record.created) != self._day:
            return True
        try:
            found = os.stat(self.baseFilename)  # noqa: PTH116 - a Path takes twice as long, and this is for each line
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def doRollover(self) -> None:
        """Rename the file if it holds an earlier day than now(). Nothing waits for this: emit does it by itself."""
        with self._exclusive() as may_rename:
            self._write_and_open(_local_day(self._now()), b"", may_rename=may_rename)

    def getFilesToDelete(self) -> list[str]:
        if not self.backupCount:
            return []
        oldest = date.fromtimestamp(self._now()) - timedelta(days=min(self.backupCount, 36_500))
        stem, suffix = re.escape(self._path.stem), re.escape(self._path.suffix)
        pattern = re.compile(rf"{stem}-([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){suffix}")
        expired = []
        for entry in os.scandir(self._path.parent):
            named = pattern.fullmatch(entry.name)
            with contextlib.suppress(ValueError):  # 2025-13-45 is no date, so no file of ours
                if named and date.fromisoformat(named[1]) < oldest and entry.is_file(follow_symlinks=False):
                    expired.append(entry.path)
        return sorted(expired)

    def _write_and_open(self, day: str, line: bytes, *, may_rename: bool) -> None:
        """Under the lock: bring the file to `day`, and write the line before anyone else can look at the file."""
        self._let_go()
        self._upkeep_error = None
        held = self._held_day()
        if held > day:
            with self._dated(day).open("ab", buffering=0) as closed_day:
                self._write(closed_day.fileno(), line)
            return
        if held and held < day:
            try:
                if not may_rename:
                    raise OSError(0, "no lock to be had, so the file was not renamed")
                self._rename(held)
                held = ""
            except OSError as error:  # the line is worth more than its place: on in the old file, tried again next time
                self._upkeep_error = _describe(error)
        self.stream = self._open()
        opened = os.fstat(self.stream.fileno())
        if opened.st_size == 0:
            self._torn = False
        self._write(self.stream.fileno(), line)
        self._identity = (opened.st_dev, opened.st_ino)
        self._day = held or day
        self._remove_expired()

    def _held_day(self) -> str:
        """The day of the file at our path: that of its first line, or of its last change; "" if it has no line."""
        if not self._path.is_file() or not self._path.stat().st_size:
            return ""
        with self._path.open("rb") as file:
            first = re.match(rb'\s*\{"timestamp": ?"([0-9T:.-]+)Z"', file.read(64))
        if first:
            with contextlib.suppress(ValueError):
                return _local_day(datetime.fromisoformat(first[1].decode()).replace(tzinfo=UTC).timestamp())
        return _local_day(self._path.stat().st_mtime)

    def _rename(self, day: str) -> None:
        dated = self._dated(day)
        if not dated.exists():
            self._path.rename(dated)
            return
        # Someone has put a file there (a copy, a backup restored). Ours takes the name, because other processes may
        # still be writing into it, and theirs is added to it.
        aside = dated.with_name(f"{dated.name}.{time.time_ns()}.merging")
        dated.rename(aside)
        self._path.rename(dated)
        with aside.open("rb") as theirs, dated.open("ab", buffering=0) as ours:
            while lines := theirs.readlines(1 << 20):
                block = b"".join(lines)
                self._write(ours.fileno(), block if block.endswith(b"\n") else block + b"\n")
        aside.unlink()

    def _remove_expired(self) -> None:
        today = _local_day(self._now())
        if today == self._swept_on:
            return
        self._swept_on = today
        for path in self.getFilesToDelete():
            try:
                Path(path).unlink(missing_ok=True)
            except OSError as error:
                self._upkeep_error = _describe(error)

    def _write(self, descriptor: int, data: bytes) -> None:
        # One write() on a file opened for appending: lines of several processes do not mix.
        if not data:
            return
        if self._torn:
            data = b"\n" + data
        written = os.write(descriptor, data)
        while written < len(data):
            self._torn = True
            written += os.write(descriptor, data[written:])
        self._torn = False

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[bool]:
        """Hold the lock beside the file; yields whether renaming is safe."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":
            yield True
        else:
            descriptor = -1
            locked = False
            try:
                descriptor = os.open(f"{self.baseFilename}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                locked = True
            except OSError:
                pass  # a folder that we may not write to, or NFS without locks
            try:
                yield locked
            finally:
                if locked:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may have the descriptor too
                if descriptor >= 0:
                    os.close(descriptor)

    def _dated(self, day: str) -> Path:
        return self._path.with_name(f"{self._path.stem}-{day}{self._path.suffix}")

    def _let_go(self) -> None:
        stream = self.stream
        self.stream = None
        self._day = ""
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _local_day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _describe(error: Exception) -> str:
    """The error without paths: the health door shows it."""
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"


def log_file_error() -> str | None:
    """Why the log file was not written or not renamed the last time; None if all is well or there is no file."""
    handlers = (handler for handler in logging.getLogger().handlers if isinstance(handler, MidnightFileHandler))
    return next((handler.last_error for handler in handlers if handler.last_error), None)


# A record would say which line of code, thread and process it is from. No line of ours shows that, and it takes longer
# than the writing does. Source: "Optimization" in Python's logging HOWTO.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# They log URLs, headers and whole bodies below WARNING: prompts and answers.
_SDK_LOGGERS = ("openai", "httpx2", "httpcore2", "httpx", "httpcore", "aiohttp")


class SdkDebugFilter(logging.Filter):
    """Drops what the SDKs log below WARNING, whatever set their level: OPENAI_LOG=debug does so behind our back."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in _SDK_LOGGERS


def logging_config(*, level: str, log_dir: Path | None, retention_days: int) -> dict[str, Any]:
    """The dictConfig for Django's LOGGING: JSON on stderr (stdout is for commands' output) and in `log_dir`/app.log.

    Everything goes to the root's handlers, so nothing is logged twice; start uvicorn with `log_config=None`.
    """
    level = level.upper()
    levels = logging.getLevelNamesMapping()
    if level not in levels:
        raise ValueError(f"LOG_LEVEL must be one of {', '.join(levels)}, not {level}")

    def at_least(floor: str) -> dict[str, Any]:
        return {"level": max(level, floor, key=levels.__getitem__), "handlers": [], "propagate": True}

    handlers: dict[str, Any] = {
        "console": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "json",
            "filters": ["sdk_debug"],
        }
    }
    if log_dir is not None:
        with contextlib.suppress(OSError):  # the handler tries again with each line, and reports by last_error
            log_dir.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            "()": "orchestration_site.logs.config.MidnightFileHandler",
            "filename": str(log_dir / "app.log"),
            "retention_days": retention_days,
            "formatter": "json",
            "filters": ["sdk_debug"],
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "orchestration_site.logs.config.JsonFormatter"}},
        "filters": {"sdk_debug": {"()": "orchestration_site.logs.config.SdkDebugFilter"}},
        "handlers": handlers,
        "root": {"level": level, "handlers": list(handlers)},
        "loggers": {
            "django": at_least("INFO"),  # django.db.backends logs SQL with its values, prompts too, at DEBUG
            "django.request": at_least("WARNING"),
            "django.server": at_least("WARNING"),
            "uvicorn": at_least("INFO"),
            "uvicorn.error": at_least("INFO"),
            # Off: each call has its own llm_call line. With no handler uvicorn does not even format it.
            "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
            **{name: at_least("WARNING") for name in _SDK_LOGGERS},
        },
    }
