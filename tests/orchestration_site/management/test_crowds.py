"""Many connections that come at once: one turn of the event loop accepts more than one of them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from llm.simulator import SimulatorThread
from orchestration_site.management.commands.serve import (
    ACCEPTED_AT_ONCE,
    ACCEPTED_AT_ONCE_BY_EACH,
    listen_often,
)
from tests.support.site_subprocess import SiteProcess

# How /proc/net/tcp writes the state of a listening socket.
LISTENING = "0A"


async def turns_until_accepted(listeners: list[socket.socket], crowd: int) -> int:
    """How many turns the event loop takes to accept a crowd of connections that come at once."""
    accepted: list[asyncio.BaseTransport] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Protocol, sock=listener) for listener in listeners]
    turns = 0
    with ExitStack() as clients:
        for _ in range(crowd):  # the kernel connects these, and the event loop does not run meanwhile
            clients.enter_context(socket.create_connection(listeners[0].getsockname()))
        while len(accepted) < crowd:
            await asyncio.sleep(0)
            turns += 1
        for transport in accepted:
            transport.close()
    for server in servers:
        server.close()
        await server.wait_closed()
    return turns


def test_a_turn_of_the_loop_accepts_a_whole_crowd() -> None:
    uvloop = pytest.importorskip("uvloop")

    def turns(times: int) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("127.0.0.1", 0))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(turns_until_accepted(listen_often(listener, times), ACCEPTED_AT_ONCE))

    assert turns(1) >= ACCEPTED_AT_ONCE  # else libuv has changed, and listen_often is not needed
    assert turns(ACCEPTED_AT_ONCE) < ACCEPTED_AT_ONCE / 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("workers", "times"), [(1, ACCEPTED_AT_ONCE), (2, ACCEPTED_AT_ONCE_BY_EACH)])
def test_the_service_listens_often(tmp_path: Path, simulator: SimulatorThread, workers: int, times: int) -> None:
    site = SiteProcess(tmp_path, upstream=simulator.base_url)
    site.migrate()
    try:
        site.start("--workers", str(workers))
        assert site.process is not None
        counts = [open_files_of(pid).count(listener_on(site.port)) for pid in processes_of(site.process.pid)]
        assert counts == [times] * (1 if workers == 1 else workers + 1)  # the parent of the workers has them too
    finally:
        site.close()


def listener_on(port: int) -> str:
    """The name of the listening socket in /proc/…/fd."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[1].endswith(f":{port:04X}") and columns[3] == LISTENING:
            return f"socket:[{columns[9]}]"
    raise AssertionError(f"nobody listens on port {port}")


def open_files_of(pid: int) -> list[str]:
    names = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the file was closed after it was listed
            names.append(str(file.readlink()))
    return names


def processes_of(group: int) -> list[int]:
    """The processes that serve, without the one that multiprocessing starts for itself."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(
            ValueError, ProcessLookupError, FileNotFoundError
        ):  # the folder is no process, or the process has ended
            if os.getpgid(pid := int(folder.name)) != group:
                continue
            if "resource_tracker" not in (folder / "cmdline").read_text():
                found.append(pid)
    return found
