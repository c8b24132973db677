"""Shows how the cost of a call grows with workers, the history, prompts and connections: `make bench-growth`.

It measures whole answers of `/v1/chat/completions` only. The result is printed, and written into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from bench.effort import FULL, QUICK, Effort
from bench.load import wrk
from bench.machine import LOAD_CORE, SERVER_CORE, describe, take_the_load_core
from bench.report import median, number, table, write
from bench.servers import contestants
from bench.servers.contestants import WORK, manage, our_server
from bench.servers.history import History, postgres_binaries, postgres_history, sqlite_history
from bench.servers.server import Server
from bench.servers.upstream_process import UPSTREAM_PORT, upstream

OURS = contestants.OURS[1]
HEAD = [
    "",
    "requests/s",
    "CPU ms/request",
    "p50 ms",
    "p99 ms",
    "max ms",
    "failed",
    "MiB, highest",
    "others on the core",
]


@dataclass(frozen=True)
class Case:
    """One line of a table."""

    name: str
    history: Callable[[], AbstractContextManager[History]]
    workers: int = 1
    prompt: str = contestants.PROMPT
    connections: int = 16


def fresh_sqlite() -> AbstractContextManager[History]:
    return sqlite_history(WORK)


def made_history(rows: int) -> AbstractContextManager[History]:
    """Make a history of made-up calls without content, and roll it up.

    It is kept for the next run, with the calls of this one.
    """
    folder = WORK / f"history-{rows}"
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        history = History(f"sqlite:///{unfinished}/calls.sqlite3", unfinished)
        days = 30 if rows <= 1_000_000 else 300
        manage(history, "migrate", "--verbosity", "0")
        manage(history, "make_calls", "--count", str(rows), "--days", str(days))
        manage(history, "roll_up")
        unfinished.rename(folder)
    return nullcontext(History(f"sqlite:///{folder}/calls.sqlite3", folder))


def let_it_settle(server: Server) -> None:
    """Wait until the server is idle, 30 seconds at most. It may still be working on calls that wrk has hung up on."""
    give_up = time.monotonic() + 30
    before = server.cpu_seconds()
    while time.monotonic() < give_up:
        time.sleep(0.5)
        after = server.cpu_seconds()
        if after - before < 0.05:
            return
        before = after


def measure(case: Case, effort: Effort) -> list[str]:
    # Two workers need both cores, so they share one of them with the load.
    cores = str(SERVER_CORE) if case.workers == 1 else f"{SERVER_CORE},{LOAD_CORE}"
    request = OURS.request(upstream_port=UPSTREAM_PORT, prompt=case.prompt)
    with upstream(), case.history() as history:
        manage(history, "migrate", "--verbosity", "0")
        server = our_server(history, UPSTREAM_PORT, workers=case.workers, cores=cores)
        server.start(request)
        try:
            # With many connections a call waits for all the others. The load must be much longer than that wait, so
            # that calls which began and were not answered do not change the result.
            longer = 4 if case.connections > 64 else 1
            loads = []
            for seconds in (effort.warm_up_s, *([effort.load_s] * effort.rounds)):
                let_it_settle(server)
                loads.append(
                    wrk.load(
                        server.port, request, connections=case.connections, seconds=seconds * longer, server=server
                    )
                )
            loads = loads[1:]
            memory = server.memory_mib(peak=True)
        finally:
            server.stop()
    line = [
        case.name,
        number(median(loads, lambda load: load.requests_per_s)),
        number(median(loads, lambda load: load.cpu_ms_per_request)),
        number(median(loads, lambda load: load.p50_ms)),
        number(median(loads, lambda load: load.p99_ms)),
        number(max(load.max_ms for load in loads)),
        str(sum(load.refused + load.broken for load in loads)),
        number(memory),
        f"{max(load.others for load in loads):.0%}" if case.workers == 1 else "–",
    ]
    print(f"{datetime.datetime.now():%H:%M:%S} {' | '.join(line)}", flush=True)
    return line


def prompt_of(size: int) -> str:
    return ("All work and no play makes a dull gateway. " * (size // 43 + 1))[:size]


def cases(rows: Sequence[int]) -> dict[str, list[Case]]:
    databases = {"SQLite": fresh_sqlite} | ({"PostgreSQL": postgres_history} if postgres_binaries() else {})
    return {
        "Workers, 64 connections": [
            Case(f"{workers}, {name}", history, workers=workers, connections=64)
            for name, history in databases.items()
            # In production, SQLite allows only one worker.
            for workers in ((1,) if history is fresh_sqlite else (1, 2))
        ],
        "Calls in the history before (SQLite)": [
            Case(f"{count:,}", partial(made_history, count) if count else fresh_sqlite) for count in rows
        ],
        "Size of the prompt": [
            Case(name, fresh_sqlite, prompt=prompt_of(size))
            for name, size in (("1 kB", 1_000), ("100 kB", 100_000), ("1 MB", 1_000_000))
        ],
        "Connections": [Case(f"{count:,}", fresh_sqlite, connections=count) for count in (16, 256, 2_000)],
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="one round of a few seconds: not for the record")
    arguments.add_argument("--rows", default="0,1000000,10000000", help="calls in the history; default: %(default)s")
    arguments.add_argument("--only", default="", help="tables whose name has this in it; prints and writes nothing")
    options = arguments.parse_args()
    effort = QUICK if options.quick else FULL
    contestants.install_tools()
    WORK.mkdir(exist_ok=True)
    take_the_load_core()
    parts = [f"{datetime.date.today()}, {contestants.our_version()}, {effort}. {describe(WORK)}."]
    for name, some in cases([int(count) for count in options.rows.split(",")]).items():
        if options.only.lower() in name.lower():
            parts += [f"**{name}**", table(HEAD, (measure(case, effort) for case in some))]
    text = "\n\n".join(parts)
    if options.only:
        print(f"\n{text}\n")
    else:
        write("growth", text)


if __name__ == "__main__":
    main()
