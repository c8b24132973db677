"""Shows whether the service pauses under minutes of load, and whether its memory grows: `make bench-soak`.

First, 16 connections call `/v1/chat/completions` on SQLite, for at least five minutes and 200,000 calls. Meanwhile
another process sends a request every two milliseconds. Then come 20,000 streams whose reader hangs up after the first
token. The result is printed, and written into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.load import streams, wrk
from bench.load.probe import Pauses
from bench.machine import describe, take_the_load_core
from bench.report import number, table, write
from bench.servers import contestants
from bench.servers.contestants import PORTS, ROOT, WORK
from bench.servers.server import Server
from bench.servers.upstream_process import UPSTREAM_PORT, seen, upstream

OURS = contestants.OURS[1]
CONNECTIONS = 16
SECONDS, CALLS, DISCONNECTS = 300, 200_000, 20_000
# How many parts the load is divided into. The memory is measured after each part.
LOADS = 10


@dataclass(frozen=True)
class Point:
    """What the server's process needs after `after` calls or streams."""

    after: int
    memory_mib: float
    files: int
    threads: int


def look(server: Server, after: int) -> Point:
    folder = Path(f"/proc/{server.pid}")
    count = [len(list((folder / name).iterdir())) for name in ("fd", "task")]
    point = Point(after, server.memory_mib(), *count)
    print(f"{datetime.datetime.now():%H:%M:%S} {point}", flush=True)
    return point


def under_load(server: Server, *, seconds: float, calls: int) -> tuple[list[Point], list[wrk.Load]]:
    """Make load until both the time and the number of calls are reached."""
    request = OURS.request(upstream_port=UPSTREAM_PORT)
    points, loads = [look(server, 0)], []
    ends, done = time.monotonic() + seconds, 0
    while done < calls or time.monotonic() < ends - 1:
        loads.append(
            wrk.load(server.port, request, connections=CONNECTIONS, seconds=max(1, seconds / LOADS), server=server)
        )
        done += loads[-1].requests
        points.append(look(server, done))
    return points, loads


def start_probe(port: int, seconds: float, status: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.load.probe", str(port), str(seconds), status]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def pauses_of(probe: subprocess.Popen[str]) -> Pauses:
    printed, _ = probe.communicate()
    if probe.returncode:
        raise RuntimeError("The probe failed.")
    return Pauses(**json.loads(printed))


async def hang_up(port: int, raw: bytes, count: int) -> None:
    """Open `count` streams, CONNECTIONS at a time. The reader of each hangs up after the first token."""
    left = iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            await streams.hang_up_at_first_token(port, raw)

    await asyncio.gather(*(one_after_another() for _ in range(CONNECTIONS)))


def with_disconnects(server: Server, *, count: int) -> list[Point]:
    raw = OURS.request(upstream_port=UPSTREAM_PORT, prompt="chunks=100000 pause_ms=50", stream=True).raw(server.port)
    points = [look(server, 0)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for part in range(LOADS):
            runner.run(hang_up(server.port, raw, count // LOADS))
            points.append(look(server, (part + 1) * (count // LOADS)))
    return points


def memory_table(what: str, points: list[Point]) -> str:
    head = [what, *(f"{point.after:,}" for point in points)]
    lines = [
        ["MiB", *(number(point.memory_mib) for point in points)],
        ["open files", *(str(point.files) for point in points)],
        ["threads", *(str(point.threads) for point in points)],
    ]
    return table(head, lines)


def pause_table(ours: Pauses, control: Pauses) -> str:
    head = ["asked every 2 ms", "times", "p50 ms", "p99 ms", "longest ms", "next ones", "over 50 ms"]
    return table(
        head,
        (
            [
                name,
                f"{pauses.asked:,}",
                number(pauses.p50_ms),
                number(pauses.p99_ms),
                number(pauses.longest[0][0]),
                ", ".join(number(taken) for taken, _ in pauses.longest[1:5]),
                str(pauses.over_50_ms),
            ]
            for name, pauses in (("ours, refused with a 400", ours), ("the upstream, on the load's core", control))
        ),
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=SECONDS, help="of load, at least; default: %(default)s")
    arguments.add_argument("--calls", type=int, default=CALLS, help="at least; default: %(default)s")
    arguments.add_argument("--disconnects", type=int, default=DISCONNECTS, help="default: %(default)s")
    options = arguments.parse_args()
    full = options.seconds >= SECONDS and options.calls >= CALLS and options.disconnects >= DISCONNECTS
    short = "" if full else ", short, not for the record"
    contestants.install_tools()
    WORK.mkdir(exist_ok=True)
    take_the_load_core()
    with upstream(), OURS.running(UPSTREAM_PORT) as running:
        server, history = running.server, running.history
        assert server is not None and history is not None
        whole = OURS.request(upstream_port=UPSTREAM_PORT)
        warm = wrk.load(server.port, whole, connections=CONNECTIONS, seconds=5, server=server)
        # The upstream answers every request with status 200, also one that a gateway refuses.
        asked = ((PORTS["ours"], "400"), (UPSTREAM_PORT, "200"))
        probes = [start_probe(port, options.seconds, status) for port, status in asked]
        points, loads = under_load(server, seconds=options.seconds, calls=options.calls)
        ours, control = map(pauses_of, probes)
        answers, rows = 1 + warm.requests + sum(load.requests for load in loads), history.count("succeeded")
        cancelled = -history.count("cancelled")  # the calls that were running when wrk hung up do not count
        cut = with_disconnects(server, count=options.disconnects)
        time.sleep(2)
        cancelled += history.count("cancelled")
        left = seen().open_streams
        after = look(server, options.disconnects)
    text = "\n\n".join(
        [
            f"{datetime.date.today()}, {contestants.our_version()}{short}. {describe(WORK)}. Of the server's core, "
            f"processes that have no part in it took {max(load.others for load in loads):.0%} at most.",
            f"**Pauses**, {CONNECTIONS} connections, {options.seconds:.0f} s; wrk's own longest answer was "
            f"{number(max(load.max_ms for load in loads))} ms:",
            pause_table(ours, control),
            f"**Memory under load**; {answers:,} answers were read, {rows:,} are on record:",
            memory_table("calls", points),
            f"**Memory with streams that are cut by their reader**; {cancelled:,} are on record as cancelled; two "
            f"seconds later {left} are still open upstream, and the service has {number(after.memory_mib)} MiB:",
            memory_table("streams cut", cut),
        ]
    )
    write("soak", text)


if __name__ == "__main__":
    main()
