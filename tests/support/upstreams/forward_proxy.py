"""A small HTTP proxy, as companies have one: absolute addresses for http, CONNECT for https."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


class ForwardProxy:
    """Sends everything to `target`, whatever host was asked for. `seen` has the head of each request."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.seen: list[str] = []
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed when the test is over
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, caller: socket.socket) -> None:
        with caller, socket.create_connection(self._target) as upstream:
            head = caller.recv(65_536)
            self.seen.append(head.decode("latin-1"))
            if head.startswith(b"CONNECT "):
                caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                upstream.sendall(head)
            with contextlib.suppress(OSError):
                while True:
                    for source in select.select([caller, upstream], [], [])[0]:
                        data = source.recv(65_536)
                        if not data:
                            return
                        (upstream if source is caller else caller).sendall(data)


@contextlib.contextmanager
def forward_proxy(target: tuple[str, int]) -> Iterator[ForwardProxy]:
    proxy = ForwardProxy(target)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(10)
