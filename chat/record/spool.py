"""Where calls wait while the database is away: an append-only file for each process, synced, one call a line.

A line is a checksum and JSON, so that a line which a crash cut in half is known for what it is. A process holds a lock
on its file as long as it lives; a file that nobody holds belongs to a process that died, and whoever finds it first
takes it over.
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

PATTERN = "calls-*.spool"
REJECTED = "rejected.jsonl"
CHUNK_CALLS = 200
CHUNK_BYTES = 16 * 1024 * 1024
"""About how much of a file is read at once."""

Write = Callable[[Sequence[CallRows]], list[Exception | None]]


@dataclass(slots=True)
class _File:
    """A file whose lock this process holds. `left` calls of it are not in the database; `pending` of them were read."""

    path: Path
    file: BinaryIO
    left: int = 0
    read_to: int = 0
    pending: list[CallRows] = field(default_factory=list)


class Spool:
    """The spool of this process in `directory`. Not for several threads at once. Files appear only when needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: _File | None = None
        self._adopted: list[_File] = []
        self._replayed: _File | None = None

    @property
    def depth(self) -> int:
        """Calls that wait in this process's file, and in those that it took over from the dead. From any thread."""
        own = self._own
        return (own.left if own else 0) + sum(file.left for file in tuple(self._adopted))

    def append(self, batch: Sequence[CallRows]) -> None:
        """Returns when the calls are on disk. Raises OSError, and then none of them counts as written."""
        own = self._own = self._own or self._open()
        end = os.fstat(own.file.fileno()).st_size
        try:
            _write_whole(own.file, b"".join(_line(rows) for rows in batch))
        except OSError:
            # Half a batch must not stay behind: it is tried again, and would be there twice, with a torn line between.
            os.ftruncate(own.file.fileno(), end)
            raise
        own.left += len(batch)

    def adopt(self) -> None:
        """Take over the files of processes that have died, so that their calls are counted, by one process only."""
        for path in self._directory.glob(PATTERN):
            if file := _lock(path):
                self._adopted.append(_File(path, file, left=_count_lines(path)))

    def replay_chunk(self, write: Write) -> bool:
        """Put some of what waits into the database: of this process's calls, or of those that it took over.

        `write` must not mind calls that are there already. Whatever it raises leaves everything as it is. Returns
        whether there may be more.
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
        """Keep a call that the database will never take where a person can find it. Raises OSError."""
        logger.error(
            "call_rejected", extra={"request_id": rows.request_id, "error": f"{type(error).__name__}", "file": REJECTED}
        )
        self._keep_rejected(_line(rows))

    def close(self) -> None:
        """Let go of the files; what waits in them is the next process's."""
        for file in (*([self._own] if self._own else []), *self._adopted):
            file.file.close()

    def _open(self) -> _File:
        self._directory.mkdir(parents=True, exist_ok=True)
        name = f"calls-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.spool"
        path = self._directory / name
        while True:
            file = path.open("ab", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            # Between opening and locking it may have been taken for an orphan, and removed.
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return _File(path, file)
            file.close()

    def _read(self, file: _File) -> None:
        """Make the next calls of a file pending; none are at its end.

        Raises OSError where a bad line can't be kept: it is the next to be read then, and those before it are pending.
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
    """Write and sync. The file has no buffer, so that what failed is not written later, by surprise."""
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
    """A line that a crash has cut is one as well."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _lock(path: Path) -> BinaryIO | None:
    """The file with its lock, or None if its process is alive, or another one was faster."""
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
