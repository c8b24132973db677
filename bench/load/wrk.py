"""Runs wrk, which asks for whole answers on several connections, for some time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.machine import LOAD_CORE, SERVER_CORE, core_time
from bench.servers.server import Request, Server

SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Load:
    """What wrk has measured, and what it cost the server.

    Latencies are in ms, and `others` and `load` are shares of a core.
    """

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int
    cpu_ms_per_request: float | None
    # The share of the server's core that went to the hypervisor, and to processes outside of the benchmark.
    others: float
    # How busy the core of the load was. Near 1, the load is the bottleneck, and the results say nothing about the
    # server.
    load: float


def wrk_version() -> str:
    printed = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    return printed.partition(" [")[0]


def load(port: int, request: Request, *, connections: int, seconds: float, server: Server | None) -> Load:
    """Run wrk with one thread. Raises RuntimeError if it fails."""
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
    printed = json.loads(found[1])
    length = printed["duration_us"] / 1e6
    taken = served_after.busy + served_after.stolen - served.busy - served.stolen
    return Load(
        requests=printed["requests"],
        requests_per_s=printed["requests"] / length,
        p50_ms=printed["p50_us"] / 1000,
        p99_ms=printed["p99_us"] / 1000,
        max_ms=printed["max_us"] / 1000,
        refused=printed["refused"],
        broken=printed["broken"],
        cpu_ms_per_request=cpu * 1000 / printed["requests"] if server and printed["requests"] else None,
        others=max(0.0, taken - cpu) / length,
        load=(loaded_after.busy + loaded_after.stolen - loaded.busy - loaded.stolen) / length,
    )
