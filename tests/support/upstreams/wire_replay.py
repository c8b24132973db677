"""An upstream on a raw socket. It plays the bytes that it is given, as real servers have sent them.

A test starts one with the service in front of it by the fixture `replayed_site`:

    client, upstream = replayed_site(WIRE_CASES["no-finish-reason"]["upstreams"])
    client.post("/chat", json={"prompt": "hi", "model": "whole"})
    assert upstream.count("whole") == 1

`good`, `wide` and `slow` are always there; see `tests.support.upstreams.wire_answers`, which also makes answers of
other shapes.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]
# `{"send": Latin-1 text}` or `{"wait": seconds}`.
Step = Mapping[str, Any]

WIRE_CASES: dict[str, Json] = {
    file.stem: json.loads(file.read_text())
    for file in sorted((Path(__file__).parents[2] / "cases" / "wire").glob("*.json"))
}

# How often a wait looks whether the upstream is being stopped.
_LOOK_SECONDS = 0.1


@dataclass
class Asked:
    """One request as it came, and how its connection ended."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw_body: bytes
    body: Json
    asked_at: float = field(default_factory=time.monotonic)
    # When all steps had been played.
    answered_at: float | None = None
    # When the peer had closed its side, if it did so before all steps had been played.
    cut_at: float | None = None

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def cut_after_seconds(self) -> float | None:
        """How long after its request the peer closed the connection; None if it heard the answer to its end."""
        return None if self.cut_at is None else self.cut_at - self.asked_at


# The steps of a model, or a function that makes them for a request.
Playing = Sequence[Step] | Callable[[Asked], Sequence[Step]]


class WireUpstream:
    """Plays `models[name]` to each request whose JSON body names that model. `seen` has the requests, oldest first.

    A connection is kept open if the answer said its own length and kept to it. Otherwise it is closed after the last
    step, as by a server that has no more to say. A model that has no steps gets a 404.
    """

    def __init__(self, models: Mapping[str, Playing]) -> None:
        self._models = models
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="wire-upstream")]
        self._failures: list[BaseException] = []
        self.seen: list[Asked] = []
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:  # the first adds no more once it has ended
            thread.join(10)
            assert not thread.is_alive(), "the upstream did not stop"
        self._listener.close()
        assert not self._failures, self._failures

    def asked(self, model: str) -> list[Asked]:
        """The requests for one model, oldest first."""
        return [each for each in self.seen if each.model == model]

    def count(self, model: str) -> int:
        """How often a model was asked."""
        return len(self.asked(model))

    def _accept(self) -> None:
        while not self._stopping.is_set():
            if not select.select([self._listener], [], [], _LOOK_SECONDS)[0]:
                continue
            connection, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=(connection,), name="wire-connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while (asked := self._read(connection)) is not None:
                    self.seen.append(asked)
                    if not self._play(connection, asked):
                        break
            except OSError:  # the peer has gone; what it did is noted
                pass
            except BaseException as error:
                self._failures.append(error)

    def _read(self, connection: socket.socket) -> Asked | None:
        """The next request; None if the peer closes, or the upstream stops, before it comes."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += (part := self._receive(connection))
            if not part:
                return None
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += (part := self._receive(connection))
            if not part:
                return None
        method, path, _ = first.split(" ")
        return Asked(method, path, headers, body, json.loads(body) if body else {})

    def _receive(self, connection: socket.socket) -> bytes:
        while not self._stopping.is_set():
            if select.select([connection], [], [], _LOOK_SECONDS)[0]:
                return connection.recv(65536)
        return b""

    def _play(self, connection: socket.socket, asked: Asked) -> bool:
        """Play the steps. True if the connection can be used for another request."""
        playing = self._models.get(asked.model, _UNKNOWN_MODEL)
        sent = b""
        for step in playing(asked) if callable(playing) else playing:
            if "wait" in step:
                if not self._wait(connection, step["wait"]):
                    asked.cut_at = time.monotonic()
                    return False
                continue
            part = step["send"].encode("latin-1")
            try:
                connection.sendall(part)
            except OSError:
                asked.cut_at = time.monotonic()
                raise
            sent += part
        asked.answered_at = time.monotonic()
        return _is_complete(sent)

    def _wait(self, connection: socket.socket, seconds: float) -> bool:
        """Wait so long. False as soon as the peer has closed the connection, or the upstream stops."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            if select.select([connection], [], [], min(left, _LOOK_SECONDS))[0]:
                return False  # the peer has nothing to say during an answer, so this is its end
        return not self._stopping.is_set()


_UNKNOWN_MODEL: Sequence[Step] = (
    {"send": "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n"},
    {"send": '{"error": {"message": "no such one"}}'},
)


def _is_complete(sent: bytes) -> bool:
    """Whether an answer says its own length and has kept to it, so that the peer knows where it ends."""
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = head.lower().replace(b" ", b"").split(b"\r\n")
    if b"connection:close" in lines:
        return False
    if b"transfer-encoding:chunked" in lines:
        return body.endswith(b"0\r\n\r\n")
    return f"content-length:{len(body)}".encode() in lines
