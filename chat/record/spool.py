"""Where calls wait while the database is away: one append-only file for each process, synced to disk, one call a line.

A line has a checksum before its JSON, which shows whether a crash has left only half of the line. A process holds a
lock on its file as long as it lives. A file without a lock belongs to a process that died, and the process that finds
it first takes it over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import socket
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from chat.record.call_rows import CallRows

logger = logging.getLogger("chat.spool")

# The names of the files of all processes.
PATTERN = "calls-*.spool"
# The file for calls that the database will never take, and for lines that can't be read.
REJECTED = "rejected.jsonl"
# About how much of a file is replayed at once.
CHUNK_CALLS = 200
CHUNK_BYTES = 16 * 1024 * 1024

# Writes calls into the database, and returns what is wrong with each, None where nothing is.
Write = Callable[[Sequence[CallRows]], list[Exception | None]]


@dataclass(slots=True)
class _File:
    """A file whose lock this process holds.

    `left` is how many of its calls are not in the database. `pending` are those of them that were read already, and
    `read_to` is the position up to which they were read.
    """

    path: Path
    file: BinaryIO
    left: int = 0
    read_to: int = 0
    pending: list[CallRows] = field(default_factory=list)


class Spool:
    """The spool of this process in `directory`. A file is made only when it is needed.

    Only `depth` may be used from several threads at once.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: _File | None = None
        self._adopted: list[_File] = []
        self._replayed: _File | None = None

    @property
    def depth(self) -> int:
        """Calls that wait in the file of this process, and in the files that it took over from dead processes."""
        own = self._own
        return (own.left if own else 0) + sum(file.left for file in tuple(self._adopted))

    def append(self, batch: Sequence[CallRows]) -> None:
        """Returns when the calls are on disk. Raises OSError, and then none of them is written."""
        own = self._own = self._own or self._open()
        end = os.fstat(own.file.fileno()).st_size
        try:
            _write_whole(own.file, b"".join(_line(rows) for rows in batch))
        except OSError:
            # What was written of the batch is removed, because the batch will be tried again. Otherwise some calls
            # would be there twice, with half a line between them.
            os.ftruncate(own.file.fileno(), end)
            raise
        own.left += len(batch)

    def adopt(self) -> None:
        """Take over the files of processes that have died. Each file is counted and replayed by one process only."""
        for path in self._directory.glob(PATTERN):
            if file := _lock(path):
                self._adopted.append(_File(path, file, left=_count_lines(path)))

    def replay_chunk(self, write: Write) -> bool:
        """Put some of the waiting calls into the database. Returns whether there may be more.

        `write` must leave alone calls that are in the database already. If it raises, the same calls are next again.
        """
        file = self._replayed = self._replayed or self._own or next(iter(self._adopted), None)
        if file is None:
            return False
        if not file.pending:
            self._read(file)
        if file.pending:
            for rows, error in zip(file.pending, write(file.pending), strict=True):
                if error is not None:
                    self.reject(rows, error)
            file.left -= len(file.pending)
            file.pending = []
            return True
        file.path.unlink()
        file.file.close()
        if file is self._own:
            self._own = None
        else:
            self._adopted.remove(file)
        self._replayed = None
        return True

    def reject(self, rows: CallRows, error: Exception) -> None:
        """Keep a call that the database will never take in a file, where a person can find it. Raises OSError."""
        logger.error(
            "call_rejected", extra={"request_id": rows.request_id, "error": type(error).__name__, "file": REJECTED}
        )
        self._keep_rejected(_line(rows))

    def close(self) -> None:
        """Release the files. Another process, or the next one, takes over the calls that wait in them."""
        for file in (*([self._own] if self._own else []), *self._adopted):
            file.file.close()

    def _open(self) -> _File:
        self._directory.mkdir(parents=True, exist_ok=True)
        name = f"calls-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.spool"
        path = self._directory / name
        while True:
            file = path.open("ab", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            # Another process may have removed it between opening and locking, because it had no lock yet.
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return _File(path, file)
            file.close()

    def _read(self, file: _File) -> None:
        """Read the next calls of a file into `pending`. At the end of the file there are none.

        Raises OSError where a bad line can't be kept. Then the calls before it are pending, and it is read next.
        """
        end = file.read_to + CHUNK_BYTES
        with file.path.open("rb") as lines:
            lines.seek(file.read_to)
            while len(file.pending) < CHUNK_CALLS and file.read_to < end and (line := lines.readline()):
                checksum, _, text = line.rstrip(b"\n").partition(b" ")
                try:
                    if checksum != _checksum(text):
                        raise ValueError("the checksum does not fit")
                    rows = CallRows.from_json(text.decode())
                except (ValueError, KeyError, TypeError) as error:
                    extra = {"file": file.path.name, "position": file.read_to, "error": str(error)}
                    logger.error("spool_line_skipped", extra=extra)
                    self._keep_rejected(line.rstrip(b"\n") + b"\n")
                    file.left -= 1
                else:
                    file.pending.append(rows)
                file.read_to = lines.tell()

    def _keep_rejected(self, line: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / REJECTED).open("ab", buffering=0) as file:
            _write_whole(file, line)


def _write_whole(file: BinaryIO, data: bytes) -> None:
    """Write and sync. The file has no buffer, because a buffer could write later what was reported as failed."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())


def _line(rows: CallRows) -> bytes:
    text = rows.to_json().encode()
    return b"%b %b\n" % (_checksum(text), text)


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)


def _count_lines(path: Path) -> int:
    """How many lines there are, half a line at the end included."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _lock(path: Path) -> BinaryIO | None:
    """The file with its lock, or None if its process is alive or another process was faster."""
    try:
        file = path.open("rb+")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
    except BlockingIOError:
        pass
    file.close()
    return None
