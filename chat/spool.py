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

from chat.call_rows import CallRows

logger = logging.getLogger("chat.spool")

PATTERN = "calls-*.spool"
REJECTED = "rejected.jsonl"
CHUNK_CALLS = 200

Write = Callable[[Sequence[CallRows]], list[Exception | None]]


@dataclass(slots=True)
class _Replay:
    """A file on its way into the database. `pending` was read, and is not in yet."""

    path: Path
    file: BinaryIO
    read_to: int = 0
    pending: list[CallRows] = field(default_factory=list)


class Spool:
    """The spool of this process in `directory`. Not for several threads at once. Files appear only when needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._replay: _Replay | None = None
        self.depth = 0
        """Calls that wait in this process's file."""

    def append(self, batch: Sequence[CallRows]) -> None:
        """Returns when the calls are on disk. Raises OSError, and then none of them counts as written."""
        file = self._file or self._open()
        end = os.fstat(file.fileno()).st_size
        try:
            _write_whole(file, b"".join(_line(rows) for rows in batch))
        except OSError:
            # Half a batch must not stay behind: it is tried again, and would be there twice, with a torn line between.
            os.ftruncate(file.fileno(), end)
            raise
        self.depth += len(batch)

    def replay_chunk(self, write: Write) -> bool:
        """Put some of what waits into the database: of this process's calls, or of a process that has died.

        `write` must not mind calls that are there already. Whatever it raises leaves everything as it is. Returns
        whether there may be more.
        """
        replay = self._replay = self._replay or self._next_replay()
        if replay is None:
            return False
        if not replay.pending:
            self._read(replay)
        if replay.pending:
            for rows, error in zip(replay.pending, write(replay.pending), strict=True):
                if error is not None:
                    self.reject(rows, error)
            if replay.path == self._path:
                self.depth -= len(replay.pending)
            replay.pending = []
            return True
        replay.path.unlink()
        replay.file.close()
        if replay.path == self._path:
            self._file, self._path, self.depth = None, None, 0
        self._replay = None
        return True

    def _next_replay(self) -> _Replay | None:
        if self._path is not None and self._file is not None:
            return _Replay(self._path, self._file)
        for path in self._directory.glob(PATTERN):
            if orphan := _lock(path):
                return _Replay(path, orphan)
        return None

    def reject(self, rows: CallRows, error: Exception) -> None:
        """Keep a call that the database will never take where a person can find it. Raises OSError."""
        logger.error(
            "call_rejected", extra={"request_id": rows.request_id, "error": f"{type(error).__name__}", "file": REJECTED}
        )
        self._keep_rejected(_line(rows))

    def close(self) -> None:
        """Let go of the files; what waits in them is the next process's."""
        for file in (self._file, self._replay.file if self._replay else None):
            if file is not None:
                file.close()

    def _open(self) -> BinaryIO:
        self._directory.mkdir(parents=True, exist_ok=True)
        name = f"calls-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.spool"
        path = self._directory / name
        while True:
            file = path.open("ab", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            # Between opening and locking it may have been taken for an orphan, and removed.
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                break
            file.close()
        self._file, self._path = file, path
        return file

    def _read(self, replay: _Replay) -> None:
        """Make the next calls of a file pending; none are at its end.

        Raises OSError where a bad line can't be kept: it is the next to be read then, and those before it are pending.
        """
        with replay.path.open("rb") as file:
            file.seek(replay.read_to)
            while len(replay.pending) < CHUNK_CALLS and (line := file.readline()):
                checksum, _, text = line.rstrip(b"\n").partition(b" ")
                try:
                    if checksum != _checksum(text):
                        raise ValueError("the checksum does not fit")
                    rows = CallRows.from_json(text.decode())
                except (ValueError, KeyError, TypeError) as error:
                    extra = {"file": replay.path.name, "position": replay.read_to, "error": str(error)}
                    logger.error("spool_line_skipped", extra=extra)
                    self._keep_rejected(line.rstrip(b"\n") + b"\n")
                else:
                    replay.pending.append(rows)
                replay.read_to = file.tell()

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
