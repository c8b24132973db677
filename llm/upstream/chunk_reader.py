"""From the bytes of a stream to its chunks, each checked and noted by its attempt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llm.error_reading import error_in, read_error
from llm.errors import StreamInterrupted, UpstreamError
from llm.json_values import Json, read_json
from llm.upstream.attempt import Attempt
from llm.upstream.event_stream import ErrorData, EventReader, EventTooLarge
from llm.upstream.http_errors import read_stream_exception

# Data of an event that says nothing. Some servers send one to keep the connection alive.
NOTHING = frozenset({b"", b"null", b"{}", b"[]", b'""'})

DONE = b"[DONE]"


class ChunkReader:
    """Reads one stream, the answer to `body`. Knows no connection and no clock. `headers` are those of the answer.

    `ended`: nothing more is read, because `[DONE]` or an error has come, or the body has ended. `error` is why the
    stream is no answer, or no whole one. Chunks that came before it are good.
    """

    def __init__(self, attempt: Attempt, body: Json, headers: Mapping[str, str]) -> None:
        self.progress = attempt.operation.reader(body)
        self.ended = False
        self.error: UpstreamError | None = None
        self._attempt = attempt
        self._headers = headers
        self._events = EventReader()
        self._is_done = False

    @property
    def is_whole(self) -> bool:
        """All that was asked for has come: nothing that comes, or does not come, after it can spoil the answer."""
        return self._is_done or self.progress.finished

    def feed(self, piece: bytes) -> list[Json]:
        """The chunks that end with this piece."""
        batch: list[Json] = []
        try:
            for event in self._events.feed(piece):
                self._take(event, batch)
        except (UpstreamError, EventTooLarge) as error:
            self._fail(error if isinstance(error, UpstreamError) else read_stream_exception(error))
        self._attempt.is_whole = self.is_whole
        return batch

    def end(self, cause: UpstreamError) -> list[Json]:
        """The body has ended. The chunk of a last event that has no blank line after it.

        `cause` is the error that this end is, unless the stream is whole.
        """
        batch: list[Json] = []
        try:
            for event in self._events.end():
                self._take(event, batch)
        except StreamInterrupted:
            pass  # it was cut in the middle of an event, and `cause` says so
        except (UpstreamError, EventTooLarge) as error:
            cause = error if isinstance(error, UpstreamError) else cause
        self._fail(cause)
        return batch

    def take_whole(self) -> None:
        """A whole answer has come in place of a stream."""
        self._is_done = self.ended = True

    def _fail(self, error: UpstreamError) -> None:
        self.ended = True
        if not self.is_whole:
            self.error = error

    def _take(self, event: bytes, batch: list[Json]) -> None:
        """Add the chunks of an event to a batch, and note what they say. Raises UpstreamError."""
        if self.ended:
            return
        for data in (event,) if isinstance(event, ErrorData) else _parts(event):
            if data.startswith(DONE):
                self._end()
                return
            if data not in NOTHING:
                batch.append(self._read(data))

    def _end(self) -> None:
        if not self.progress.finished and self._attempt.operation.end:
            self._attempt.saw_chunk(self._attempt.operation.end)
        self._is_done = self.ended = True

    def _read(self, data: bytes) -> Json:
        try:
            chunk = read_json(data)
        except (ValueError, RecursionError) as exception:
            if isinstance(data, ErrorData):
                raise read_error(data.decode("utf-8", "replace"), http_status=200) from exception
            raise StreamInterrupted("The upstream sent a chunk that is not JSON.", http_status=200) from exception
        if not isinstance(chunk, dict):
            raise StreamInterrupted("The upstream sent a chunk that is not an object.", http_status=200)
        try:
            if error := chunk if isinstance(data, ErrorData) else error_in(chunk):
                raise read_error(error, http_status=200, headers=self._headers)
            self.progress.read(chunk)
        except UpstreamError:
            self._attempt.saw_failure(chunk)
            raise
        self._attempt.saw_chunk(chunk)
        return chunk


def _parts(data: bytes) -> Iterator[bytes]:
    """The data of an event, or that of several: some servers leave out the blank line between two events."""
    if b"\n" in data and not _is_json(data):
        yield from map(bytes.strip, data.split(b"\n"))
    else:
        yield data.strip()


def _is_json(data: bytes) -> bool:
    try:
        read_json(data)
    except (ValueError, RecursionError):
        return False
    return True
