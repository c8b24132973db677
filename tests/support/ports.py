"""Free ports for servers that tests start as processes of their own."""

from __future__ import annotations

import itertools
import os
import socket

# Below 32768, from where on Linux gives ports to connections: none of them takes a port that was found free.
_FIRST, _PORTS_EACH, _PROCESSES = 10_000, 100, 220
_next = itertools.count()


def free_port() -> int:
    """A port of loopback that nobody listens on.

    Each test process looks in a hundred ports of its own, so that two processes do not find the same one.
    """
    mine = _FIRST + os.getpid() % _PROCESSES * _PORTS_EACH
    for _ in range(_PORTS_EACH):
        port = mine + next(_next) % _PORTS_EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
