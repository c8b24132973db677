"""wrk: whole answers, from a number of connections, for a time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.machine import LOAD_CORE, SERVER_CORE, core_time
from bench.server import Request, Server

SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Load:
    """What wrk saw, and what it cost the server. Latencies in ms; `others` and `load` are shares of a core."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int
    cpu_ms_per_request: float | None
    others: float
    """What processes that have no part in this took of the server's core, and the hypervisor."""
    load: float
    """How busy the load's core was. Near 1, the figures are the load's and not the server's."""


def wrk_version() -> str:
    printed = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    return printed.partition(" [")[0]


def load(port: int, request: Request, *, connections: int, seconds: float, server: Server | None) -> Load:
    """Runs wrk with one thread. Raises RuntimeError if it fails."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(SCRIPT)]
        cpu = server.cpu_seconds() if server else 0.0
        served, loaded = core_time(SERVER_CORE), core_time(LOAD_CORE)
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{request.path}"],
            env={**os.environ, "BENCH_BODY": body.name, "BENCH_HEADERS": headers},
            capture_output=True,
            text=True,
            check=False,
        )
        served_after, loaded_after = core_time(SERVER_CORE), core_time(LOAD_CORE)
        cpu = server.cpu_seconds() - cpu if server else 0.0
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")
    figures = json.loads(found[1])
    length = figures["duration_us"] / 1e6
    taken = served_after.busy + served_after.stolen - served.busy - served.stolen
    return Load(
        requests=figures["requests"],
        requests_per_s=figures["requests"] / length,
        p50_ms=figures["p50_us"] / 1000,
        p99_ms=figures["p99_us"] / 1000,
        max_ms=figures["max_us"] / 1000,
        refused=figures["refused"],
        broken=figures["broken"],
        cpu_ms_per_request=cpu * 1000 / figures["requests"] if server and figures["requests"] else None,
        others=max(0.0, taken - cpu) / length,
        load=(loaded_after.busy + loaded_after.stolen - loaded.busy - loaded.stolen) / length,
    )
