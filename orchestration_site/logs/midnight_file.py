"""The log file, which gets a new name at midnight. Several processes may write to it at the same time."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class MidnightFileHandler(TimedRotatingFileHandler):
    """Writes to `app.log`, and renames it at local midnight to `app-YYYY-MM-DD.log`, by the day that it holds.

    How several processes share the file: it is opened, renamed and begun while the process holds a lock (flock) on
    `app.log.lock`. The first line is written before the lock is released, so that the next process can read the file's
    day from that line. Before each line the handler compares the path's inode with that of its open file, and so sees
    when another process has renamed the file. A line that belongs to an earlier day than `app.log` is added to the file
    of its own day. A service that was down at midnight renames the file when it writes its first line.

    The rollover of Python's own handler is not used, because it fails with several processes: Python 3.11 and 3.12
    destroy a day, and 3.13 writes into the wrong one. Windows has no flock, so only one process may use the file there.
    Where the file system refuses the lock, nothing is renamed, and `last_error` says so.

    retention_days: files of days longer ago than this are removed, if they have exactly such a name; 0 keeps all.
    now: the clock for retention and for doRollover(). The day of a line comes from its record.
    last_error: why the latest line was not written, or the file not renamed. It is None again after a success.
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
        # The day whose lines the open file holds.
        self._day = ""
        # The device and inode of the open file.
        self._identity = (0, 0)
        # Whether the disk has taken only a part of the latest line.
        self._torn = False
        # The day on which expired files were last removed.
        self._swept_on = ""
        # Why the file was not renamed, or expired files were not removed.
        self._upkeep_error: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # The event loop writes the line itself. One write() into the page cache takes microseconds, whereas lines that
        # wait in a queue would be lost in a crash.
        try:
            line = (self.format(record) + "\n").encode("utf-8", "replace")
            if self.stream is None or self.shouldRollover(record):
                with self._exclusive() as may_rename:
                    self._write_and_open(_local_day(record.created), line, may_rename=may_rename)
            else:
                self._write(self.stream.fileno(), line)
            self.last_error = self._upkeep_error
        except Exception as error:  # noqa: BLE001 - a full disk must not take the service down
            is_reported = self.last_error is not None
            self.last_error = _describe(error)
            self._close_stream()
            # Of many failures in a row only the first is printed: a traceback for every line would fill the console.
            if not is_reported:
                self.handleError(record)

    def shouldRollover(self, record: logging.LogRecord) -> int:
        """Whether the record needs another file than the open one: it is of another day, or the file has been moved."""
        if _local_day(record.created) != self._day:
            return True
        try:
            found = os.stat(self.baseFilename)  # noqa: PTH116 - this runs for each line, and a Path takes twice as long
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def doRollover(self) -> None:
        """Rename the file if it holds an earlier day than now(). Nobody needs to call this: emit() renames as well."""
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
            with contextlib.suppress(ValueError):  # 2025-13-45 is not a date, so that file is not ours
                if named and date.fromisoformat(named[1]) < oldest and entry.is_file(follow_symlinks=False):
                    expired.append(entry.path)
        return sorted(expired)

    def _write_and_open(self, day: str, line: bytes, *, may_rename: bool) -> None:
        """Rename the file if it holds an earlier day, open it, and write the line. The caller holds the lock."""
        self._close_stream()
        self._upkeep_error = None
        held = self._held_day()
        if held > day:
            with self._dated(day).open("ab", buffering=0) as closed_day:
                self._write(closed_day.fileno(), line)
            return
        if held and held < day:
            try:
                if not may_rename:
                    raise OSError(0, "no lock could be taken, so the file was not renamed")
                self._rename(held)
                held = ""
            except OSError as error:
                # The line goes into the old file, because it must not be lost. The next line tries to rename again.
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
        """The day of the file at our path, or "" if it has no line.

        The first line tells the day. If the file is not one of ours, its last change does.
        """
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
        # Someone has put a file with that name there, such as a restored backup. Our file takes the name, because other
        # processes may still be writing into ours, and the lines of the other file are added to it.
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
        # A line is one write() on a file that is open for appending, so that lines of several processes do not mix.
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
        """Hold the lock beside the file. Yields whether renaming is safe."""
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
                pass  # the folder is not ours to write to, or the file system (NFS) has no locks
            try:
                yield locked
            finally:
                if locked:
                    # Closing is not enough: a forked child may hold the descriptor as well, and so the lock.
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
                if descriptor >= 0:
                    os.close(descriptor)

    def _dated(self, day: str) -> Path:
        return self._path.with_name(f"{self._path.stem}-{day}{self._path.suffix}")

    def _close_stream(self) -> None:
        stream = self.stream
        self.stream = None
        self._day = ""
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _local_day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _describe(error: Exception) -> str:
    """The error without file paths, because /health/ready shows it to everybody."""
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"


def log_file_error() -> str | None:
    """Why the log file was last not written or not renamed. None if all is well, or if there is no log file."""
    handlers = (handler for handler in logging.getLogger().handlers if isinstance(handler, MidnightFileHandler))
    return next((handler.last_error for handler in handlers if handler.last_error), None)
